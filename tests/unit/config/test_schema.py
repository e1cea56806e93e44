"""The JSON Schema of the file."""

import jsonschema
import pytest
import yaml

from mcp_hub.config.part import Part
from mcp_hub.config.schema import DIALECT, json_schema

pytestmark = pytest.mark.promise("E39")

GOOD = """\
version: 1
server: {port: 8081, max_request: 1MiB, public_url: "${URL}"}
login: none
network: {allow_private: [10.0.0.0/8]}
defaults: {timeout: 30s, page_size: "${SIZE}", max_result: 4096, catalog_ttl: 0}
upstreams:
  a: {url: https://a.example/, enabled: "${ON}", prefix: false, auth: none, headers: {X-Key: "${KEY}"}}
  c: {auth: oauth}
  d: {auth: {type: oauth, scopes: [x], resource: false, extra_params: {prompt: consent}, unadvertised_pkce: true}}
  e: {auth: {type: header, name: X-Key, per_user: true}}
  f: {auth: {type: header, name: Authorization, scheme: Bearer, from: x-mine}}
  g: {auth: {type: client_credentials, issuer: "https://i.example", client_id: x, private_key: "file:/run/key.pem"}}
  b: {auth: {type: api_key, value: x}, tools: {allow: ["x*"]}, prefix: bee, timeout: "${T:-5s}", rename: {x: y}}
"""


@pytest.fixture(scope="module")
def validator():
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.promise("E39")
def test_a_good_file_is_good_for_an_editor(validator):
    assert list(validator.iter_errors(yaml.safe_load(GOOD))) == []


@pytest.mark.promise("E39")
@pytest.mark.parametrize(
    "text",
    [
        "servr: {}",
        "server: {port: 99999}",
        "server: {port: eighty}",
        "defaults: {timeout: 60}",
        "defaults: {timeout: soon}",
        "defaults: {max_result: big}",
        "upstreams: {Docs: {}}",
        "upstreams: {a: {url: ftp://x}}",
        "upstreams: {a: {headers: {'X Key': y}}}",
        "upstreams: {a: {transport: pigeon}}",
        "upstreams: {a: {enabled: 'yes'}}",
        "upstreams: {a: {auth: api_key}}",
        "upstreams: {a: {auth: {value: x}}}",
        "upstreams: {a: {auth: {type: oauth, claim: email}}}",
        "upstreams: {a: {auth: {type: header, name: X-Key}}}",
        "upstreams: {a: {auth: {type: header, name: X-Key, from: x-a, claim: email}}}",
        "upstreams: {a: {auth: {type: header, per_user: true}}}",
        "upstreams: {a: {auth: {type: header, name: X-Key, per_user: false}}}",
        "upstreams: {a: {auth: {type: client_credentials, client_id: x, client_secret: y}}}",
        "upstreams: {a: {tools: {allow: x}}}",
        "version: 2",
    ],
)
def test_a_bad_file_is_bad_for_an_editor(validator, text):
    assert list(validator.iter_errors(yaml.safe_load(text)))


def test_every_key_is_described():
    parts = json_schema()["$defs"]
    for part in Part.__subclasses__():
        for name, info in part.model_fields.items():
            assert info.description, (part, name)
    assert set(parts) == {part.__name__ for part in Part.__subclasses__() if part.__name__ != "Root"}
    assert json_schema()["$schema"] == DIALECT


def test_a_key_called_title_is_kept():
    assert "title" in json_schema()["$defs"]["UpstreamShape"]["properties"]
