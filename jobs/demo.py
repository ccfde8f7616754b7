"""The command `demo`: a page to talk to a model, turn by turn."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobs.places import LOCAL

if TYPE_CHECKING:
    from gradio import ChatInterface

    from jobs.scoring.generate import Sampler

LANGUAGES = ("Python", "Java", "JavaScript", "Go", "C++", "Rust")


@click.command()
@click.option("--checkpoint", type=LOCAL, required=True, help="A CodeGen model.")
@click.option("--host", default="127.0.0.1", help="[127.0.0.1: this machine alone]")
@click.option("--port", type=click.IntRange(0, 65535), default=7860, help="[7860]")
def demo(checkpoint: Path, host: str, port: int) -> None:
    """Opens a web page on which to talk to a model."""
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise click.ClickException("demo needs more packages: pip install 'codesieve[demo]'") from error
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    from jobs.scoring.generate import Sampler

    try:
        sampler = Sampler.open(checkpoint, temperature=0.2, top_p=0.95)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"http://{host}:{port}")
    page(sampler, checkpoint.name).launch(server_name=host, server_port=port, share=False, quiet=True, ssr_mode=False)


def page(sampler: "Sampler", name: str) -> "ChatInterface":
    """The page: a conversation whose answers appear as they are drawn, and settings below it."""
    import gradio

    def answer(
        message: str,
        history: list[dict[str, Any]],
        language: str,
        limit: int,
        temperature: float,
        top_p: float,
        seed: int,
    ) -> Iterator[str]:
        sampler.temperature, sampler.top_p = temperature, top_p
        sampler.seed(int(seed), json.dumps(turns(message, history)))
        text = ""
        for text in reply(sampler, message, history, language, limit):
            yield fenced(text, language)
        if not text:
            yield "*(the model ended its turn without a word)*"

    return gradio.ChatInterface(
        answer,
        title=f"{name} · codesieve",
        description="Ask for a piece of code, then for what comes next. Each request becomes a comment in one program.",
        examples=[["Read a list of numbers from a file."], ["Write a function that reverses a string."]],
        run_examples_on_click=False,
        additional_inputs_accordion=gradio.Accordion("Sampling settings", open=False),
        additional_inputs=[
            gradio.Dropdown(LANGUAGES, value="Python", label="Language"),
            gradio.Slider(16, 1024, value=256, step=16, label="Longest answer, in tokens"),
            gradio.Slider(0, 1.5, value=0.2, step=0.05, label="Temperature"),
            gradio.Slider(0.05, 1, value=0.95, step=0.05, label="Top-p"),
            gradio.Number(0, precision=0, label="Seed"),
        ],
        flagging_mode="never",
        analytics_enabled=False,
    )


def reply(sampler: "Sampler", message: str, history: list[dict[str, Any]], language: str, limit: int) -> Iterator[str]:
    """The growing answer to a message."""
    tokens = [token for token, _ in sampler.encoder.conversation(turns(message, history), language)]
    for texts in sampler.stream(tokens, 1, int(limit)):
        yield texts[0]


def turns(message: str, history: list[dict[str, Any]]) -> list[dict[str, str]]:
    """The conversation up to where the model's answer begins, as its training has them."""
    told = [{"role": turn["role"], "content": unfenced(said(turn["content"]))} for turn in history]
    return [*told, {"role": "user", "content": message}]


def said(content: Any) -> str:
    """The text of a turn as the page keeps it: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)


def fenced(code: str, language: str) -> str:
    return f"```{language.lower().replace('c++', 'cpp')}\n{code.strip(chr(10))}\n```"


def unfenced(text: str) -> str:
    lines = text.splitlines()
    is_fenced = len(lines) > 1 and lines[0].startswith("```") and lines[-1] == "```"
    return "\n".join(lines[1:-1]) if is_fenced else text
