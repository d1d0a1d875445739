"""Consent: evidence, mandates, presence, emergencies, reviews, notices, policy, labelling."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "consent_evidence",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("assurance", sa.SmallInteger(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("consent_evidence", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_consent_evidence_chart"), ["chart"], unique=False)

    op.create_table(
        "emergency_grant",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=False),
        sa.Column("approver", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("emergency_grant", schema=None) as batch_op:
        batch_op.create_index("emergency_grant_login", ["login", "start"], unique=False)
        batch_op.create_index(batch_op.f("ix_emergency_grant_chart"), ["chart"], unique=False)

    op.create_table(
        "label_run",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("rules", sa.String(), nullable=False),
        sa.Column("policy", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("raised", sa.Integer(), nullable=False),
        sa.Column("faults", sa.Integer(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("finished", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "mandate",
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("suspended", sa.SmallInteger(), nullable=False),
        sa.Column("recorded_by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("chart", "id"),
    )
    with op.batch_alter_table("mandate", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_mandate_login"), ["login"], unique=False)

    op.create_table(
        "notice",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("about", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("held", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("notice", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_notice_chart"), ["chart"], unique=False)
        batch_op.create_index("notice_about", ["kind", "about"], unique=True)
        batch_op.create_index("notice_due", ["sent", "due"], unique=False)

    op.create_table(
        "own_account",
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("proof", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("phone", sa.LargeBinary(), nullable=False),
        sa.Column("verified", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("code_ends", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("login"),
    )
    with op.batch_alter_table("own_account", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_own_account_chart"), ["chart"], unique=False)

    op.create_table(
        "policy_version",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("text", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    with op.batch_alter_table("policy_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_policy_version_state"), ["state"], unique=False)

    op.create_table(
        "presence",
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("answered_by", sa.String(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.Column("yes", sa.SmallInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tag"),
        sa.UniqueConstraint("code"),
    )
    with op.batch_alter_table("presence", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_presence_ends"), ["ends"], unique=False)
        batch_op.create_index(batch_op.f("ix_presence_login"), ["login"], unique=False)

    op.create_table(
        "claim_reason",
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "reason"),
    )

    op.create_table(
        "presence_try",
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("login"),
    )

    op.create_table(
        "review",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("opened", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("taken_by", sa.String(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided", sa.BigInteger(), nullable=False),
        sa.Column("second_by", sa.String(), nullable=False),
        sa.Column("closed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("review", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_review_chart"), ["chart"], unique=False)
        batch_op.create_index("review_open", ["closed", "due"], unique=False)

    op.create_table(
        "second_factor",
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("locked_until", sa.BigInteger(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("login"),
    )
    op.create_table(
        "signing_code",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("code", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("signing_code", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_signing_code_ends"), ["ends"], unique=False)

    with op.batch_alter_table("chart", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("directives", sa.LargeBinary(), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("labelled", sa.String(), server_default="", nullable=False))
        batch_op.add_column(sa.Column("identity", sa.String(), server_default="", nullable=False))
        batch_op.create_index(batch_op.f("ix_chart_labelled"), ["labelled"], unique=False)
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("confirmed", sa.BigInteger(), server_default="0", nullable=False)
        )
        batch_op.add_column(
            sa.Column("confirmed_by", sa.String(), server_default="", nullable=False)
        )
    _identities()


def _identities() -> None:
    """Who was joined by a rule that proves it is one; a hospital's word waits to be confirmed."""
    link = sa.table(
        "link",
        *(sa.column(name) for name in ("left", "right", "rule", "made_by", "at", "revoked")),
        sa.column("confirmed"),
        sa.column("confirmed_by"),
    )
    chart = sa.table("chart", sa.column("id"), sa.column("identity"))
    proven = link.c.rule.in_(["resident-id+name", "recognition"])
    op.execute(link.update().where(proven).values(confirmed=link.c.at, confirmed_by=link.c.made_by))
    op.execute(chart.update().values(identity=chart.c.id))
    groups: dict[str, set[str]] = {}
    pairs = sa.select(link.c.left, link.c.right).where(proven, link.c.revoked == 0)
    for one, two in op.get_bind().execute(pairs):
        merged = groups.get(one, {one}) | groups.get(two, {two})
        groups.update(dict.fromkeys(merged, merged))
    for id, group in groups.items():
        op.execute(chart.update().where(chart.c.id == id).values(identity=min(group)))


def downgrade() -> None:
    with op.batch_alter_table("link", schema=None) as batch_op:
        batch_op.drop_column("confirmed_by")
        batch_op.drop_column("confirmed")
    with op.batch_alter_table("chart", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_chart_labelled"))
        batch_op.drop_column("identity")
        batch_op.drop_column("labelled")
        batch_op.drop_column("directives")
    op.drop_table("signing_code")
    op.drop_table("second_factor")
    op.drop_table("review")
    op.drop_table("presence_try")
    op.drop_table("claim_reason")
    op.drop_table("presence")
    op.drop_table("policy_version")
    op.drop_table("own_account")
    op.drop_table("notice")
    op.drop_table("mandate")
    op.drop_table("label_run")
    op.drop_table("emergency_grant")
    op.drop_table("consent_evidence")
