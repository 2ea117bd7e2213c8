"""Database templates: migrated once, then copied for every run; triggers in them record what is judged."""

import shutil
import sqlite3
from pathlib import Path

from shared.settings import Settings
from waymark import migrations

_MOVES = """
CREATE TABLE seen_move (n INTEGER PRIMARY KEY AUTOINCREMENT, consumer_group, topic, partition, was, now, epoch);
CREATE TRIGGER seen_moved AFTER UPDATE OF next_offset ON consumer_cursor
WHEN NEW.next_offset <> OLD.next_offset BEGIN
  INSERT INTO seen_move (consumer_group, topic, partition, was, now, epoch)
  VALUES (NEW.consumer_group, NEW.topic, NEW.partition, OLD.next_offset, NEW.next_offset, NEW.epoch);
END;
"""
_SAID = """
  INSERT INTO seen_consent (account, user, what, topic, class, delivery)
  VALUES (NEW.account, NEW.user, CASE WHEN NEW.granted THEN 'yes' ELSE 'no' END, NEW.topic, '', '');
END;
"""
_CONSENTS = f"""
CREATE TABLE seen_consent (n INTEGER PRIMARY KEY AUTOINCREMENT, account, user, what, topic, class, delivery);
CREATE TRIGGER seen_said AFTER INSERT ON notify_consent BEGIN {_SAID}
CREATE TRIGGER seen_said_again AFTER UPDATE ON notify_consent BEGIN {_SAID}
CREATE TRIGGER seen_last_word AFTER UPDATE OF stage ON notify_delivery WHEN NEW.stage = 'data_sent' BEGIN
  INSERT INTO seen_consent (account, user, what, topic, class, delivery)
  VALUES (NEW.account, NEW.user, 'last word', NEW.topic, NEW.outreach_class, NEW.id);
END;
"""


class DatabaseTemplates:
    """Empty databases with every table, one a set of services."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[str, ...], Path] = {}

    def copy(self, services: tuple[str, ...], to: Path) -> Path:
        if services not in self._made:
            self._made[services] = self._make(services)
        shutil.copyfile(self._made[services], to)
        return to

    def _make(self, services: tuple[str, ...]) -> Path:
        file = self._folder / f"{'-'.join(services)}.template"
        migrations.migrate(Settings(database_url=f"sqlite:///{file}"), list(services))
        connection = sqlite3.connect(file)
        connection.executescript(_MOVES + (_CONSENTS if "notify" in services else ""))
        connection.close()
        return file
