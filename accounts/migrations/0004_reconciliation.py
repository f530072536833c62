"""Reconciliations, what they found, and breaks; with the rules that the database keeps."""

from typing import Any

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from accounts.services.rights import limit_application

# What was found on a day stays as it was found. A break grows older until it is closed, once.
KEPT = """
CREATE TRIGGER reconciliation_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
    ON public.accounts_reconciliation
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
CREATE TRIGGER reconciliationcheck_append_only BEFORE UPDATE OR DELETE OR TRUNCATE
    ON public.accounts_reconciliationcheck
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
CREATE TRIGGER break_stays
    BEFORE UPDATE OF id, rule, reference, first_seen_on, follows_id OR DELETE OR TRUNCATE
    ON public.accounts_break
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();

CREATE FUNCTION public.accounts_break_moves() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'break % is % already', OLD.id, OLD.state USING ERRCODE = 'TN009';
END $$;
CREATE TRIGGER break_moves BEFORE UPDATE ON public.accounts_break
    FOR EACH ROW WHEN (OLD.state <> 'open') EXECUTE FUNCTION public.accounts_break_moves();
"""
UNDO = """
DROP FUNCTION public.accounts_break_moves() CASCADE;
"""


def set_rights(apps: Any, schema_editor: Any) -> None:
    """The application's role may add, and close breaks.

    It may update all of a break as far as rights go, since only who may can lock the table against
    another reconciliation; the triggers say which of it.
    """
    tables = "accounts_reconciliation, accounts_reconciliationcheck, accounts_break"
    limit_application(
        schema_editor.connection,
        f"REVOKE ALL ON {tables} FROM {{}}",
        f"GRANT SELECT ON {tables} TO {{}}",
        'GRANT INSERT ("on", kind, holds, sealed_number, sealed_hash, actor)'
        " ON accounts_reconciliation TO {}",
        "GRANT INSERT ON accounts_reconciliationcheck, accounts_break TO {}",
        "GRANT UPDATE ON accounts_break TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_banking"),
    ]

    operations = [
        migrations.CreateModel(
            name="Reconciliation",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("on", models.DateField()),
                ("kind", models.CharField(max_length=10)),
                ("holds", models.BooleanField()),
                ("sealed_number", models.BigIntegerField(null=True)),
                ("sealed_hash", models.BinaryField(max_length=32, null=True)),
                ("actor", models.CharField(max_length=60)),
                (
                    "made_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["kind", "id"], name="accounts_recon_by_kind")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("kind__in", ["internal", "external"])),
                        name="accounts_reconciliation_kind",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("sealed_hash__isnull", True), ("sealed_number__isnull", True)
                            ),
                            models.Q(
                                ("sealed_hash__isnull", False), ("sealed_number__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="accounts_reconciliation_sealed_both",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Break",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("rule", models.CharField(max_length=40)),
                ("reference", models.CharField(max_length=60)),
                ("amount", models.BigIntegerField()),
                ("detail", models.CharField(max_length=200)),
                ("first_seen_on", models.DateField()),
                ("last_seen_on", models.DateField()),
                ("state", models.CharField(max_length=10)),
                ("resolved_on", models.DateField(null=True)),
                ("resolved_by", models.CharField(blank=True, default="", max_length=60)),
                ("note", models.CharField(blank=True, default="", max_length=500)),
                (
                    "follows",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="followed_by",
                        to="accounts.break",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(fields=["rule", "reference"], name="accounts_break_by_identity")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state", "open")),
                        fields=("rule", "reference"),
                        name="accounts_break_one_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["open", "resolved", "cleared"])),
                        name="accounts_break_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("note", ""),
                                ("resolved_by", ""),
                                ("resolved_on__isnull", True),
                                ("state", "open"),
                            ),
                            models.Q(
                                ("resolved_on__isnull", False),
                                ("state", "cleared"),
                                models.Q(("resolved_by", ""), _negated=True),
                            ),
                            models.Q(
                                ("resolved_on__isnull", False),
                                ("state", "resolved"),
                                models.Q(("resolved_by", ""), _negated=True),
                                models.Q(("note", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="accounts_break_closed_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("last_seen_on__gte", models.F("first_seen_on"))),
                        name="accounts_break_seen_in_order",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReconciliationCheck",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("rule", models.CharField(max_length=40)),
                ("title", models.CharField(max_length=200)),
                ("expected", models.BigIntegerField()),
                ("found", models.BigIntegerField()),
                ("checked", models.BigIntegerField()),
                ("wrong", models.BigIntegerField()),
                (
                    "reconciliation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="checks",
                        to="accounts.reconciliation",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("reconciliation", "rule"), name="accounts_reconciliationcheck_once"
                    )
                ],
            },
        ),
        migrations.RunSQL(KEPT, reverse_sql=UNDO),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
