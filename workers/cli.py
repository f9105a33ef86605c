"""workers/cli.py: the command line `jiaohao`. Results on stdout, the rest on stderr; modules load inside commands.

Exit codes: 0 done, 1 what was examined is wrong, 2 usage or settings, 4 another process owns the data, 5 something
needed is missing, 70 fail-stop, 130 interrupted.
"""

import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from workers import cli_devices, cli_journal, cli_report, cli_tokens, eventloop

OK: Final = 0
WRONG: Final = 1
USAGE: Final = 2
TAKEN: Final = 4
MISSING: Final = 5
FAIL_STOP: Final = 70
INTERRUPTED: Final = 130

app = typer.Typer(
    help="Jiaohao 叫号: the queue and evaluation core of a public-service hall.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cli_devices.attach(app)
cli_journal.attach(app)
cli_tokens.attach(app)
cli_report.attach(app)


def main() -> None:
    """The console script. Asserts are for our own mistakes, so a Python without them is refused."""
    if not __debug__:
        fail("python -O is not supported", "the checks of the state would be off", "start without -O", USAGE)
    app()


def fail(what: str, where: str, todo: str, code: int) -> None:
    """Three lines: what, where, what to do."""
    sys.stderr.write(f"{what}\n{where}\n{todo}\n")
    raise SystemExit(code)


def tell(error: BaseException, where: str, todo: str, code: int) -> None:
    """An error of one line, or of two or three that say where and what to do themselves."""
    lines = str(error).splitlines()
    what, at, then = [*lines, *["", where, todo][len(lines) :]][:3]
    fail(what, at, then, code)


def run(task: Callable[[], Coroutine[Any, Any, None]], where: str) -> None:
    """Run to the end; every kind of failure to its exit code."""
    try:
        eventloop.run(task())
    except BaseExceptionGroup as group:
        explain(first(group), where)
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    except Exception as error:
        explain(error, where)


def first(error: BaseException) -> BaseException:
    """The first cause inside nested groups."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def explain(error: BaseException, where: str) -> None:
    """One failure as three lines and its exit code. Our own mistakes keep their traceback."""
    from core.record import UnknownFact
    from workers import engine
    from workers.connection import TakenOver
    from workers.owner import Taken
    from workers.ports import Fenced, JournalDamaged, Missing
    from workers.recovery import Newer
    from workers.settings import SettingsError

    match error:
        case SettingsError():
            fail("settings are wrong", str(error), "correct them and start again", USAGE)
        case Taken():
            tell(error, where, "stop that process, or choose another directory", TAKEN)
        case Newer() | UnknownFact():
            tell(error, where, "run the newer program", USAGE)
        case TakenOver():
            tell(error, where, "stop one of the two, or give it a `broker.client_id` of its own", MISSING)
        case Missing():
            tell(error, where, "give it what it needs, and start again", MISSING)
        case JournalDamaged():
            tell(error, where, "restore a backup", WRONG)
        case Fenced():
            tell(error, where, "only one dispatcher may write a hall; this one stops", FAIL_STOP)
        case engine.Error() if engine.error_name(error).startswith("SQLITE_IOERR"):
            name = engine.error_name(error)
            what = f"journal {'read' if 'READ' in name else 'write'} failed ({name})"
            fail(what, where, "look after the disk, then start again: the journal settles what was written", FAIL_STOP)
        case _:
            import traceback

            traceback.print_exception(error)
            fail(f"stopped: {type(error).__name__}: {error}", where, "start again; the journal settles it", FAIL_STOP)


def chosen_here(**given: object) -> dict[str, dict[str, str]]:
    """What the command line says, as a tree of settings."""
    places = {"data": ("journal", "dir"), "halls": ("halls", "dir"), "broker": ("broker", "url")}
    places |= {"listen": ("web", "listen"), "log": ("log", "format")}
    tree: dict[str, dict[str, str]] = {}
    for name, value in given.items():
        if value:
            section, key = places[name]
            tree.setdefault(section, {})[key] = str(value)
    return tree


@app.command()
def serve(
    config: Annotated[Path | None, typer.Option(help="jiaohao.toml")] = None,
    data: Annotated[Path | None, typer.Option(help="data directory")] = None,
    halls: Annotated[Path | None, typer.Option(help="directory of hall files")] = None,
    broker: Annotated[str, typer.Option(help="mqtt://host:port")] = "",
    listen: Annotated[str, typer.Option(help="host:port of metrics and health")] = "",
    log: Annotated[str, typer.Option(help="auto, json or console")] = "",
) -> None:
    """The dispatcher of the halls in a directory."""
    from workers import app as application
    from workers import logs, settings

    overrides = chosen_here(data=data, halls=halls, broker=broker, listen=listen, log=log)

    async def task() -> None:
        chosen = settings.load(config, settings.process_environment(), overrides)
        if not chosen.broker.url:
            raise settings.SettingsError(["no broker - at `$.broker.url`"])
        await application.serve(chosen, logs.logger(chosen.log.level, chosen.log.format))

    run(task, f"data directory {data or 'of the settings'}")


@app.command()
def replay(
    where: Annotated[Path | None, typer.Argument(help="data directory", metavar="DIR")] = None,
    data: Annotated[Path | None, typer.Option(help="the same as an option")] = None,
    to: Annotated[int, typer.Option(help="stop at this n of every hall")] = 0,
    ticket: Annotated[str, typer.Option(help="only the facts of one number, such as A012")] = "",
    facts: Annotated[bool, typer.Option(help="print every fact as a JSON line")] = False,
    digest: Annotated[bool, typer.Option(help="print only hall, n and digest")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Fold the journal and compare with every stored snapshot."""
    from workers import replays

    directory = where or data or Path("data")
    if facts or ticket:
        run(lambda: replays.print_facts(directory, ticket, to), str(directory))
        return
    run(lambda: replays.print_digests(directory, to, as_json, digest), str(directory))


@app.command()
def check(
    config: Annotated[Path | None, typer.Option(help="jiaohao.toml")] = None,
    data: Annotated[Path | None, typer.Option(help="data directory")] = None,
    halls: Annotated[Path | None, typer.Option(help="directory of hall files")] = None,
    broker: Annotated[str, typer.Option(help="mqtt://host:port")] = "",
    listen: Annotated[str, typer.Option(help="host:port of metrics and health")] = "",
    offline: Annotated[bool, typer.Option(help="do not look for the broker")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Look at everything that is needed, and say what to do."""
    from workers import check as checks
    from workers import settings

    overrides = chosen_here(data=data, halls=halls, broker=broker, listen=listen)

    async def task() -> None:
        found = await checks.look(settings.load(config, settings.process_environment(), overrides), offline=offline)
        checks.tell(found, as_json=as_json)
        if not all(one.ok for one in found):
            raise SystemExit(MISSING)

    run(task, "check")


@app.command()
def why(
    ticket: Annotated[str, typer.Argument(help="a number, such as A012")],
    data: Annotated[Path, typer.Option(help="data directory")] = Path("data"),
    lang: Annotated[str, typer.Option(help="zh or en")] = "zh",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document")] = False,
) -> None:
    """Why this ticket was called when it was, in one sentence a call."""
    from workers import replays

    if lang not in ("zh", "en"):
        fail(f"no language {lang!r}", "--lang", "zh and en are spoken", USAGE)
    run(lambda: replays.print_why(data, ticket, "en" if lang == "en" else "zh", as_json), str(data))


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Benchmarks, as `python -m bench SUITE`; they are in a checkout, not in the wheel."""
    import runpy
    from importlib.util import find_spec

    if find_spec("bench") is None:
        fail("there are no benchmarks here", "the wheel is without them", "run it in a checkout", MISSING)
    sys.argv = ["bench", *context.args]
    runpy.run_module("bench", run_name="__main__")


@app.command()
def demo(
    seconds: Annotated[int, typer.Option(help="0: until interrupted")] = 0,
    seed: Annotated[int, typer.Option(help="same seed, same people")] = 7,
    counters: Annotated[int, typer.Option()] = 12,
    services: Annotated[int, typer.Option()] = 20,
    speed: Annotated[int, typer.Option(help="hall seconds a second")] = 60,
    broker: Annotated[str, typer.Option(help="use this broker instead of the embedded one")] = "",
    port: Annotated[int, typer.Option(help="of metrics; 0: a free one")] = 0,
    keep: Annotated[Path | None, typer.Option(help="keep the data here")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON line at the end")] = False,
) -> None:
    """A whole hall, nothing installed: broker, devices, people, dispatcher, metrics."""
    from workers import demonstration

    wish = demonstration.Wish(seconds, seed, counters, services, speed, broker, port, keep, as_json)
    run(lambda: demonstration.show(wish), "demo")


if __name__ == "__main__":
    main()
