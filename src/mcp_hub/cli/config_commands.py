"""The commands around the file: `init`, `validate`, `config show`, `config schema`. They touch no network."""

import os
from pathlib import Path
from typing import Final, cast

import click

from mcp_hub.cli.options import file_option, json_option, named_or_found
from mcp_hub.cli.output import Exit, print_json, print_table, problem_json, problem_lines, report
from mcp_hub.config.load import load
from mcp_hub.config.model import Config
from mcp_hub.config.places import CANDIDATES
from mcp_hub.config.schema import json_schema
from mcp_hub.config.show import effective
from mcp_hub.errors import ConfigError, Problem

_FIRST: Final = """\
# yaml-language-server: $schema=./hub.schema.json
#   mcp-hub config schema > hub.schema.json   lets your editor complete and check this file
#   mcp-hub validate                          says everything that is wrong with it
version: 1

# server:
#   host: 127.0.0.1
#   port: 8080
#   public_url: https://hub.example.com   # what clients see; for others than you alone, with https and a login

# login:                              # left out: nobody has to, and the hub listens on this computer only
#   type: oidc                        # people sign in where they always do; type: local is accounts of this hub
#   issuer: https://id.example.com
#   client_id: mcp-hub
#   client_secret: "${HUB_OIDC_SECRET}"

# users:
#   ada@example.com: {roles: [admin]}

# network:
#   allow_private: [127.0.0.0/8, "::1/128"]   # private ranges upstreams may live in; plain http only there

# defaults:                           # for every upstream that does not say otherwise
#   timeout: 60s
#   catalog_ttl: 60s

upstreams: {}                         # remove the {} and the # in front of what you want

#   docs:                             # a public server: the URL is enough
#     url: https://docs.example.com/mcp

#   search:                           # one header, the same for everybody; the value comes from a variable
#     url: https://search.example.com/mcp
#     headers: {X-API-Key: "${SEARCH_API_KEY}"}

#   wiki:                             # an API key, sent as a bearer token
#     url: https://wiki.example.com/mcp
#     auth: {type: api_key, value: "${WIKI_KEY}"}
#     tools: {deny: ["delete_*"]}

#   billing:                          # each caller's own: their client sends it along
#     url: https://billing.example.com/mcp
#     auth: {type: header, name: Authorization, scheme: Bearer, from: X-Billing-Token}

#   warehouse:                        # each user's own, pasted once on the connections page; needs a login with a page
#     url: https://warehouse.example.com/mcp
#     auth: {type: header, name: X-API-Key, per_user: true}

#   github:                           # each user signs in there with their own account
#     url: https://api.githubcopilot.com/mcp/
#     auth:
#       type: oauth                   # alone it is enough where the hub can register itself there
#       client_id: "${GITHUB_ID}"     # of an app of yours; it comes back to PUBLIC_URL/oauth/callback/github
#       client_secret: "${GITHUB_SECRET}"
#       scopes: [repo, "read:org"]

#   time:                             # a local command; of the hub's environment it gets only what stands in env
#     command: [uvx, mcp-server-time]
#     env: {LOG_LEVEL: info}
"""


@click.command()
@click.argument("path", type=click.Path(path_type=Path), default="hub.yaml")
def init(path: Path) -> None:
    """Write a first configuration with comments to PATH (hub.yaml). An existing file is never overwritten."""
    if path.is_dir():
        path = path / "hub.yaml"
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(_FIRST)
    except FileExistsError:
        raise _refused(path, "exists already and was left as it is", "name another file") from None
    except OSError:
        raise _refused(path, "could not be written", "check that the directory exists and may be written to") from None
    click.echo(f"Wrote {path}. Put your servers in, then: mcp-hub validate -c {path} && mcp-hub serve -c {path}")


@click.command()
@file_option
@click.option("--online", is_flag=True, help="Also ask each upstream.")
@json_option
def validate(file: Path | None, *, online: bool, as_json: bool) -> None:
    """Say everything that is wrong with a configuration. Changes nothing."""
    try:
        config = named_or_found(file)
        if config is None:
            raise _refused(Path(CANDIDATES[0]), "there is no such file here", "'mcp-hub init' writes one; -c names one")
    except ConfigError as error:
        if as_json:
            print_json({"source": error.source, "ok": False, "problems": _json(error.problems), "warnings": []})
        else:
            click.echo("\n".join(report(error)), err=True)
        raise click.exceptions.Exit(Exit.USAGE) from None
    if online:
        from mcp_hub.cli.upstream import check_online  # noqa: PLC0415 - brings the parts that connect

        raise click.exceptions.Exit(check_online(config, as_json))
    if as_json:
        print_json({"source": config.source, "ok": True, "problems": [], "warnings": _json(config.warnings)})
    else:
        _say_fine(config)


@click.group()
def config() -> None:
    """Show the configuration, or its JSON Schema."""


@config.command()
@file_option
@json_option
def show(file: Path | None, *, as_json: bool) -> None:
    """Show every value in force and where it was said. Secrets show as ***."""
    found = named_or_found(file) or load("login: local", source="defaults", environ=os.environ)
    values = effective(found)
    if as_json:
        listed = [{"path": one.path, "value": one.value, "origin": one.origin} for one in values]
        print_json({"source": found.source, "values": listed})
        return
    print_table([(one.path, _text(one.value), f"({one.origin})") for one in values])


@config.command()
def schema() -> None:
    """Print the JSON Schema of the configuration, for editors."""
    print_json(json_schema())


def _say_fine(config: Config) -> None:
    for warning in config.warnings:
        click.echo("\n".join(problem_lines(config.source, warning)), err=True)
    upstreams, notes = len(config.upstreams), len(config.warnings)
    more = f", {notes} thing{'' if notes == 1 else 's'} to know" if notes else ""
    click.echo(f"{config.source} is fine: {upstreams} upstream{'' if upstreams == 1 else 's'}{more}")


def _json(problems: "list[Problem] | tuple[Problem, ...]") -> list[dict[str, object]]:
    return [problem_json(problem) for problem in problems]


def _refused(path: Path, message: str, hint: str) -> ConfigError:
    return ConfigError(str(path), [Problem(0, 0, "", message, hint)])


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == "":
        return "-"
    return f"[{', '.join(map(str, cast('list[object]', value)))}]" if isinstance(value, list) else str(value)
