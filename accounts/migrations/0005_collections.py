"""Direct debits, the mandates that allow them and their files; with the rules the database keeps."""

from typing import Any

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from accounts.core.collecting import COLLECTION_MOVES
from accounts.services.rights import limit_application

# What was asked of a bank stays as it was.
APPEND_ONLY = "".join(
    f"""
CREATE TRIGGER {table}_append_only BEFORE {events} ON public.accounts_{table}
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
"""
    for table, events in (
        ("collectionfilestored", "UPDATE OR DELETE OR TRUNCATE"),
        (
            "mandate",
            "UPDATE OF member_id, details_id, reference, signed_on OR DELETE OR TRUNCATE",
        ),
        (
            "collection",
            "UPDATE OF end_to_end_id, member_id, mandate_id, amount, subject, due_on, attempt,"
            " collect_on, is_recorded, asked_on, actor OR DELETE OR TRUNCATE",
        ),
    )
)

_ALLOWED = ", ".join(
    f"('{old}', '{new}')" for old, targets in COLLECTION_MOVES.items() for new in sorted(targets)
)
# A state moves along the core's table only, and each collection begins at the beginning.
MOVES = f"""
CREATE FUNCTION public.accounts_collection_moves() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (OLD.state::text, NEW.state::text) NOT IN ({_ALLOWED}) THEN
        RAISE EXCEPTION '% can''t become %', OLD.state, NEW.state USING ERRCODE = 'TN009';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER collection_moves BEFORE UPDATE OF state ON public.accounts_collection
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION public.accounts_collection_moves();
CREATE TRIGGER collection_begins AFTER INSERT ON public.accounts_collection
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_begins('asked');
"""

# What was said once stands: in which file it was, since when it counted, which lines are its own.
STAYS = """
CREATE TRIGGER collection_stays BEFORE UPDATE ON public.accounts_collection
    FOR EACH ROW WHEN (
        OLD.file_id IS NOT NULL
            AND (OLD.file_id, OLD.batch) IS DISTINCT FROM (NEW.file_id, NEW.batch)
        OR OLD.taken_on IS NOT NULL
            AND (OLD.taken_on, OLD.rest) IS DISTINCT FROM (NEW.taken_on, NEW.rest)
        OR OLD.rest_on IS NOT NULL AND OLD.rest_on IS DISTINCT FROM NEW.rest_on
        OR OLD.rest_back_on IS NOT NULL AND OLD.rest_back_on IS DISTINCT FROM NEW.rest_back_on
        OR OLD.credited_line_id IS NOT NULL
            AND OLD.credited_line_id IS DISTINCT FROM NEW.credited_line_id
        OR OLD.returned_line_id IS NOT NULL
            AND OLD.returned_line_id IS DISTINCT FROM NEW.returned_line_id
    )
    EXECUTE FUNCTION public.accounts_stays();
CREATE TRIGGER mandate_stays BEFORE UPDATE ON public.accounts_mandate
    FOR EACH ROW WHEN (OLD.cancelled_on IS NOT NULL)
    EXECUTE FUNCTION public.accounts_stays();
"""

UNDO = """
DROP TRIGGER collection_stays ON public.accounts_collection;
DROP TRIGGER mandate_stays ON public.accounts_mandate;
DROP TRIGGER collection_begins ON public.accounts_collection;
DROP FUNCTION public.accounts_collection_moves() CASCADE;
"""


def set_rights(apps: Any, schema_editor: Any) -> None:
    """The application's role may add, and change what has a life of its own."""
    tables = "accounts_collection, accounts_collectionfilestored, accounts_mandate"
    limit_application(
        schema_editor.connection,
        f"REVOKE ALL ON {tables} FROM {{}}",
        f"GRANT SELECT, INSERT ON {tables} TO {{}}",
        "GRANT UPDATE (cancelled_on, last_changed) ON accounts_mandate TO {}",
        "GRANT UPDATE (state, reason, taken_on, rest, rest_on, rest_back_on, file_id, batch,"
        " credited_line_id, returned_line_id) ON accounts_collection TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_reconciliation"),
    ]

    operations = [
        migrations.CreateModel(
            name="Collection",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("end_to_end_id", models.CharField(max_length=35, unique=True)),
                ("amount", models.BigIntegerField()),
                ("subject", models.CharField(max_length=60)),
                ("due_on", models.DateField()),
                ("attempt", models.SmallIntegerField()),
                ("collect_on", models.DateField()),
                ("state", models.CharField(max_length=10)),
                ("reason", models.CharField(blank=True, db_default="", max_length=35)),
                ("taken_on", models.DateField(null=True)),
                ("rest", models.BigIntegerField(db_default=0)),
                ("rest_on", models.DateField(null=True)),
                ("rest_back_on", models.DateField(null=True)),
                ("batch", models.CharField(blank=True, db_default="", max_length=35)),
                ("is_recorded", models.BooleanField(db_default=False)),
                ("asked_on", models.DateField()),
                ("actor", models.CharField(max_length=60)),
            ],
        ),
        migrations.CreateModel(
            name="CollectionFileStored",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("message_id", models.CharField(max_length=35, unique=True)),
                ("content", models.BinaryField()),
                ("digest", models.BinaryField(max_length=32)),
                ("count", models.IntegerField()),
                ("total", models.BigIntegerField()),
                ("made_on", models.DateField()),
                ("actor", models.CharField(max_length=60)),
                (
                    "recorded_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Mandate",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("reference", models.CharField(max_length=35, unique=True)),
                ("signed_on", models.DateField()),
                ("cancelled_on", models.DateField(null=True)),
                ("last_changed", models.DateField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="bankline",
            name="accounts_bankline_outcome",
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "outcome__in",
                        [
                            "deposit",
                            "suspense",
                            "withdrawal_confirmed",
                            "withdrawal_returned",
                            "deposit_reversed",
                            "return_confirmed",
                            "return_bounced",
                            "sweep_confirmed",
                            "sweep_returned",
                            "moved",
                            "collected",
                            "collection_unpaid",
                            "unexplained",
                        ],
                    )
                ),
                name="accounts_bankline_outcome",
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="credited_line",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="credits",
                to="accounts.bankline",
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="member",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="collections",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="returned_line",
            field=models.OneToOneField(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="returns",
                to="accounts.bankline",
            ),
        ),
        migrations.AddConstraint(
            model_name="collectionfilestored",
            constraint=models.CheckConstraint(
                condition=models.Q(("count__gt", 0), ("total__gt", 0)),
                name="accounts_collectionfile_collects",
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="file",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="collections",
                to="accounts.collectionfilestored",
            ),
        ),
        migrations.AddField(
            model_name="mandate",
            name="details",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="mandates",
                to="accounts.bankdetails",
            ),
        ),
        migrations.AddField(
            model_name="mandate",
            name="member",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="mandates",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="collection",
            name="mandate",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="collections",
                to="accounts.mandate",
            ),
        ),
        migrations.AddConstraint(
            model_name="mandate",
            constraint=models.UniqueConstraint(
                condition=models.Q(("cancelled_on__isnull", True)),
                fields=("member",),
                name="accounts_mandate_one_current",
            ),
        ),
        migrations.AddConstraint(
            model_name="mandate",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cancelled_on__isnull", True),
                    models.Q(
                        ("cancelled_on__gte", models.F("signed_on")),
                        ("last_changed__gte", models.F("cancelled_on")),
                    ),
                    _connector="OR",
                ),
                name="accounts_mandate_signed_first",
            ),
        ),
        migrations.AddIndex(
            model_name="collection",
            index=models.Index(fields=["state", "collect_on"], name="accounts_collection_by_state"),
        ),
        migrations.AddIndex(
            model_name="collection",
            index=models.Index(
                condition=models.Q(("batch", ""), _negated=True),
                fields=["batch"],
                name="accounts_collection_by_batch",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.UniqueConstraint(
                fields=("subject", "due_on", "attempt"), name="accounts_collection_asked_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__gt", 0), ("attempt__gt", 0)),
                name="accounts_collection_amount_above_zero",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["asked", "sent", "collected", "unpaid", "bounced", "cancelled"])
                ),
                name="accounts_collection_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("batch", ""), ("file__isnull", True)),
                    models.Q(
                        ("file__isnull", False),
                        ("mandate__isnull", False),
                        models.Q(("batch", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="accounts_collection_sent_by_mandate",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        models.Q(("state", "asked"), _negated=True),
                        models.Q(("state", "sent"), _negated=True),
                    ),
                    models.Q(("file__isnull", True), ("state", "asked")),
                    models.Q(("file__isnull", False), ("state", "sent")),
                    _connector="OR",
                ),
                name="accounts_collection_sent_in_a_file",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state", "unpaid"),
                    models.Q(
                        ("state__in", ["asked", "sent", "cancelled"]), ("taken_on__isnull", True)
                    ),
                    models.Q(("state__in", ["collected", "bounced"]), ("taken_on__isnull", False)),
                    _connector="OR",
                ),
                name="accounts_collection_taken_in",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("returned_line__isnull", True),
                    ("credited_line__isnull", False),
                    _connector="OR",
                ),
                name="accounts_collection_credited_before_returned",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("rest", 0), ("rest_on__isnull", True)),
                    models.Q(
                        ("rest__gt", 0),
                        ("rest__lte", models.F("amount")),
                        ("taken_on__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="accounts_collection_rest_of_taken",
            ),
        ),
        migrations.AddConstraint(
            model_name="collection",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("rest_back_on__isnull", True),
                    ("rest_back_on__gte", models.F("rest_on")),
                    _connector="OR",
                ),
                name="accounts_collection_rest_back_later",
            ),
        ),
        migrations.RunSQL(APPEND_ONLY + MOVES + STAYS, reverse_sql=UNDO),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
