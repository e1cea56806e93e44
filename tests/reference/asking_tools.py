"""Tools that ask their caller; their names, questions and keys are the ones the conformance suite looks for."""

from typing import Any

import mcp_types as types
import samples
from call import Call, field_of, form, prompt
from toolbox import Toolbox

STRING: dict[str, Any] = {"type": "string"}
BOOLEAN: dict[str, Any] = {"type": "boolean"}
OPTIONS = ["option1", "option2", "option3"]

asking = Toolbox()


def _takes(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {name: STRING}, "required": [name]}


def _titled(*titles: str) -> list[dict[str, str]]:
    return [{"const": f"value{number}", "title": title} for number, title in enumerate(titles, start=1)]


def _outcome(answer: Any) -> list[types.TextContent]:
    return [samples.text(f"Elicitation completed: action={answer.action}, content={answer.content}")]


def _reply(answer: Any) -> str:
    return getattr(answer.content, "text", "")


@asking.tool("test_sampling", "Asks the client's model.", _takes("prompt"))
async def sampling(call: Call) -> list[types.TextContent]:
    answers = await call.ask({"reply": prompt(call.arguments["prompt"])})
    return [samples.text(f"LLM response: {_reply(answers['reply'])}")]


@asking.tool("test_elicitation", "Asks the user for a name and an address.", _takes("message"))
async def elicitation(call: Call) -> list[types.TextContent]:
    question = form(call.arguments["message"], username=STRING, email=STRING)
    answer = (await call.ask({"user": question}))["user"]
    return [samples.text(f"User response: action={answer.action}, content={answer.content}")]


@asking.tool("test_elicitation_sep1034_defaults", "Asks with a default for every kind of field.")
async def elicitation_sep1034_defaults(call: Call) -> list[types.TextContent]:
    question = form(
        "Please review and update the form fields with defaults",
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        verified={"type": "boolean", "default": True},
    )
    return _outcome((await call.ask({"fields": question}))["fields"])


@asking.tool("test_elicitation_sep1330_enums", "Asks with every way of writing a choice.")
async def elicitation_sep1330_enums(call: Call) -> list[types.TextContent]:
    question = form(
        "Please choose",
        untitledSingle={"type": "string", "enum": OPTIONS},
        titledSingle={"type": "string", "oneOf": _titled("First Option", "Second Option", "Third Option")},
        legacyEnum={
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        untitledMulti={"type": "array", "items": {"type": "string", "enum": OPTIONS}},
        titledMulti={"type": "array", "items": {"anyOf": _titled("First Choice", "Second Choice", "Third Choice")}},
    )
    return _outcome((await call.ask({"choices": question}))["choices"])


@asking.tool("test_missing_capability", "Needs a client that lends its model.")
async def missing_capability(call: Call) -> list[types.TextContent]:
    call.demand("sampling/createMessage")
    return [samples.text("The client lends its model.")]


@asking.tool("test_streaming_elicitation", "Reports progress, then asks.")
async def streaming_elicitation(call: Call) -> list[types.TextContent]:
    call.demand("elicitation/create")
    await call.context.session.report_progress(50, 100)
    answers = await call.ask({"value": form("Please enter a value", value=STRING)})
    return [samples.text(f"Streaming complete: {field_of(answers['value'], 'value')}")]


@asking.tool("test_input_required_result_elicitation", "Asks for a name.")
async def input_required_result_elicitation(call: Call) -> list[types.TextContent]:
    answers = await call.ask({"user_name": form("What is your name?", name=STRING)})
    return [samples.text(f"Hello, {field_of(answers['user_name'], 'name')}!")]


@asking.tool("test_input_required_result_sampling", "Asks the client's model for a capital.")
async def input_required_result_sampling(call: Call) -> list[types.TextContent]:
    answers = await call.ask({"capital_question": prompt("What is the capital of France?")})
    return [samples.text(_reply(answers["capital_question"]))]


@asking.tool("test_input_required_result_list_roots", "Asks for the client's roots.")
async def input_required_result_list_roots(call: Call) -> list[types.TextContent]:
    answer = (await call.ask({"client_roots": types.ListRootsRequest()}))["client_roots"]
    return [samples.text(f"Roots: {', '.join(str(root.uri) for root in answer.roots)}")]


@asking.tool("test_input_required_result_request_state", "Asks for a yes and gives the client a state to bring back.")
async def input_required_result_request_state(call: Call) -> list[types.TextContent]:
    await call.ask({"confirm": form("Please confirm", ok=BOOLEAN)}, with_state=True)
    kept = call.params.request_state is not None or not call.modern
    return [samples.text("state-ok" if kept else "The state did not come back.")]


@asking.tool("test_input_required_result_multiple_inputs", "Asks three things at once.")
async def input_required_result_multiple_inputs(call: Call) -> list[types.TextContent]:
    questions = {
        "user_name": form("What is your name?", name=STRING),
        "greeting": prompt("Generate a greeting", max_tokens=50),
        "client_roots": types.ListRootsRequest(),
    }
    answers = await call.ask(questions, with_state=True)
    roots = len(answers["client_roots"].roots)
    return [samples.text(f"{_reply(answers['greeting'])} {field_of(answers['user_name'], 'name')}, {roots} roots")]


@asking.tool("test_input_required_result_multi_round", "Asks twice, the second time knowing the first answer.")
async def input_required_result_multi_round(call: Call) -> list[types.TextContent]:
    step1 = await call.ask({"step1": form("Step 1: What is your name?", name=STRING)}, with_state=True)
    step2 = await call.ask({"step2": form("Step 2: What is your favorite color?", color=STRING)}, with_state=True)
    return [samples.text(f"{field_of(step1['step1'], 'name')} likes {field_of(step2['step2'], 'color')}.")]


@asking.tool("test_input_required_result_tampered_state", "Refuses a state that was changed on the way.")
async def input_required_result_tampered_state(call: Call) -> list[types.TextContent]:
    await call.ask({"confirm": form("Please confirm", ok=BOOLEAN)}, with_state=True)
    return [samples.text("integrity-ok")]


@asking.tool("test_input_required_result_capabilities", "Asks only what the client said it can answer.")
async def input_required_result_capabilities(call: Call) -> list[types.TextContent]:
    possible = {
        "elicit_input": form("Elicitation input", value=STRING),
        "sample_input": prompt("Sample request", max_tokens=50),
    }
    questions = {key: question for key, question in possible.items() if call.can(question.method)}
    answers = await call.ask(questions, with_state=True) if questions else {}
    return [samples.text(f"Asked for: {', '.join(answers) or 'nothing'}")]
