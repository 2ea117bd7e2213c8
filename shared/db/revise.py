"""How is a revision made? `waymark migrate --revise SERVICE MESSAGE` compares the tables in the code with the history.

The file it writes is a start: read it, and write the data's way by hand where there is one.
"""

import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from shared.db.migrate import History, script_of, upgrade

_FILE = '''"""{message}"""

import sqlalchemy as sa
from alembic import op

import shared.db.columns

revision = "{revision}"
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    {ups}


def downgrade() -> None:
    {downs}
'''


def revise(history: History, message: str) -> Path:
    """Write the revision that leads from the newest one to the tables in the code."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/empty.db"
        upgrade(url, history)
        engine = create_engine(url)
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"version_table": history.version_table})
            steps = produce_migrations(context, history.metadata)
        engine.dispose()
    if steps.upgrade_ops is None or steps.downgrade_ops is None:
        raise RuntimeError("alembic produced nothing")
    down = script_of(history).get_current_head()
    number = f"{int(down) + 1 if down else 1:04}"
    file = history.folder / "versions" / f"{number}_{message.lower().replace(' ', '_')}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    ups, downs = render_python_code(steps.upgrade_ops), render_python_code(steps.downgrade_ops)
    file.write_text(_FILE.format(message=message, revision=number, down=down, ups=ups, downs=downs), "utf8")
    return file
