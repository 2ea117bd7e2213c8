"""Quix application: it stops after as many events as there are."""

from collections.abc import Callable

from peer import Job, Progress, State, done, end, keep
from quixstreams import Application
from quixstreams.dataframe import StreamingDataFrame

Build = Callable[[StreamingDataFrame], StreamingDataFrame]


def run(of: Job, build: Build, found: Callable[[], dict[str, State]], *, changelog: bool) -> None:
    """Read to the end with its own defaults: JSON by orjson, a checkpoint every five seconds."""
    progress = Progress(of)
    app = Application(
        broker_address=of.bootstrap,
        consumer_group=of.group,
        auto_offset_reset="earliest",
        state_dir=f"{of.folder}/state",
        use_changelog_topics=changelog,
        loglevel="WARNING",
        auto_create_topics=changelog,
    )
    stream = app.dataframe(app.topic(of.topic, value_deserializer="json", key_deserializer="str"))
    stream = build(stream.update(lambda _: _seen(app, progress)))
    made = stream.filter(lambda told: told is not None)
    made.to_topic(app.topic(of.output, value_serializer="json", key_serializer="str"))
    app.run()
    done()
    keep(of, found())
    end()


def _seen(app: Application, progress: Progress) -> None:
    """The event in hand is still folded, and a last checkpoint written, before `run` comes back."""
    if progress.one():
        app.stop()
