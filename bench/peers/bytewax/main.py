"""Bytewax: `stateful_map` over a Kafka source, decoded by msgspec. No recovery store, so a crash loses the state."""

from datetime import timedelta

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from folding import Event, decode
from peer import Progress, State, done, end, fold, job, keep, state, transition

of = job()
accounts: dict[str, State] = {}
progress = Progress(of)


def _keyed(message: KafkaSourceMessage) -> tuple[str, Event]:
    progress.one()
    event = decode(message.value)
    return event.account, event


def _step(kept: State | None, event: Event) -> tuple[State, KafkaSinkMessage | None]:
    if kept is None:
        kept = accounts[event.account] = state()
    made = fold(kept, event.properties.feature, event.at, of.threshold)
    return kept, KafkaSinkMessage(None, transition(event.account, kept)) if made else None


def _made(item: tuple[str, KafkaSinkMessage | None]) -> KafkaSinkMessage | None:
    return item[1]


flow = Dataflow("fold")
source = KafkaSource([of.bootstrap], [of.topic], tail=False, batch_size=1_000)
read = op.input("read", flow, source)
keyed = op.map("decode", read, _keyed)
folded = op.stateful_map("fold", keyed, _step)
op.output("tell", op.filter_map("made", folded, _made), KafkaSink([of.bootstrap], of.output))

if __name__ == "__main__":
    run_main(flow, epoch_interval=timedelta(seconds=10))
    done()
    keep(of, accounts)
    end()
