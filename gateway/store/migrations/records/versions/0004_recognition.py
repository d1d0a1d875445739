"""Mutual recognition: events, cards, evidence, alerts, catalogue, entitlements, registers, figures."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


CALL_KINDS = "kind IN ('token', 'recognition-prompt', 'recognition-feedback')"


def upgrade() -> None:
    op.create_index(
        "audit_event_calls",
        "audit_event",
        ["client", "outcome", "at"],
        unique=False,
        sqlite_where=sa.text(CALL_KINDS),
        postgresql_where=sa.text(CALL_KINDS),
    )
    op.create_table(
        "catalogue_version",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )

    op.create_table(
        "decision_evidence",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("report", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("standing", sa.Integer(), nullable=False),
        sa.Column("licensed", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_decision_evidence_chart", "decision_evidence", ["chart"], unique=False)
    op.create_index("ix_decision_evidence_report", "decision_evidence", ["report"], unique=False)
    op.create_index("ix_decision_evidence_source", "decision_evidence", ["source"], unique=False)
    op.create_index("ix_decision_evidence_target", "decision_evidence", ["target"], unique=False)
    op.create_index("ix_decision_evidence_task", "decision_evidence", ["task"], unique=False)

    op.create_table(
        "decline_use",
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("code", sa.String(), nullable=False),
        sa.Column("uses", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "code"),
    )

    op.create_table(
        "entitlement_event",
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("entitlement", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )
    op.create_index(
        "ix_entitlement_event_entitlement", "entitlement_event", ["entitlement"], unique=False
    )

    op.create_table(
        "identity_review",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("link", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(), nullable=False),
        sa.Column("before", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_identity_review_link"), "identity_review", ["link"], unique=False)

    op.create_table(
        "image_probe",
        sa.Column("study", sa.String(), nullable=False),
        sa.Column("found", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("study"),
    )

    op.create_table(
        "launch_ticket",
        sa.Column("tag", sa.LargeBinary(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("spent", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tag"),
    )
    op.create_index("ix_launch_ticket_ends", "launch_ticket", ["ends"], unique=False)

    op.create_table(
        "recognition_card",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        sa.Column("answered", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_recognition_card_ends", "recognition_card", ["ends"], unique=False)

    op.create_table(
        "unmapped_order",
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("signed", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organization", "digest"),
    )

    op.create_table(
        "recognition_event",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("recognition_event_at", "recognition_event", ["at"], unique=False)
    op.create_index(
        "recognition_event_patient", "recognition_event", ["patient", "organization"], unique=False
    )
    op.create_index("recognition_event_question", "recognition_event", ["question"], unique=False)

    op.create_table(
        "register_entry",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("act", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", "version"),
    )

    op.create_table(
        "relied_alert",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("evidence", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("change", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=False),
        sa.Column("trouble", sa.String(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_relied_alert_evidence", "relied_alert", ["evidence"], unique=False)
    op.create_index("relied_alert_untold", "relied_alert", ["told", "settled"], unique=False)
    op.create_index(
        "relied_alert_of", "relied_alert", ["organization", "login", "settled"], unique=False
    )
    op.create_index(
        "relied_alert_once", "relied_alert", ["evidence", "version", "change"], unique=True
    )

    op.create_table(
        "statistics_objection",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "statistics_objection_month",
        "statistics_objection",
        ["month", "organization"],
        unique=False,
    )

    op.create_table(
        "statistics_snapshot",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("month", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("made_by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "statistics_snapshot_month", "statistics_snapshot", ["month", "organization"], unique=True
    )

    op.create_table(
        "write_back",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("organization", sa.String(), nullable=False),
        sa.Column("chart", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("write_back_due", "write_back", ["state", "due"], unique=False)

    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kind", sa.String(), server_default="", nullable=False))
    with op.batch_alter_table("source", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("certificate_ends", sa.BigInteger(), server_default="0", nullable=False)
        )


def downgrade() -> None:
    op.drop_index(
        "audit_event_calls",
        "audit_event",
        sqlite_where=sa.text(CALL_KINDS),
        postgresql_where=sa.text(CALL_KINDS),
    )
    with op.batch_alter_table("source", schema=None) as batch_op:
        batch_op.drop_column("certificate_ends")
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_column("kind")
    op.drop_table("write_back")
    op.drop_table("statistics_snapshot")
    op.drop_table("statistics_objection")
    op.drop_table("relied_alert")
    op.drop_table("unmapped_order")
    op.drop_table("register_entry")
    op.drop_table("recognition_event")
    op.drop_table("recognition_card")
    op.drop_table("launch_ticket")
    op.drop_table("image_probe")
    op.drop_table("identity_review")
    op.drop_table("entitlement_event")
    op.drop_table("decline_use")
    op.drop_table("decision_evidence")
    op.drop_table("catalogue_version")
