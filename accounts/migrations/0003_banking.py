"""Bank files, what was in them, and payments out; with the rules that the database keeps."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from accounts.core.bank_states import DETAILS_MOVES, PAYMENT_MOVES, SUSPENSE_MOVES
from accounts.services.rights import limit_application

# What came from the bank and what went to it stays as it was.
APPEND_ONLY = "".join(
    f"""
CREATE TRIGGER {table}_append_only BEFORE {events} ON public.accounts_{table}
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
"""
    for table, events in (
        ("bankfile", "UPDATE OF sha256, format, content OR DELETE OR TRUNCATE"),
        ("bankstatement", "UPDATE OR DELETE OR TRUNCATE"),
        ("bankline", "UPDATE OR DELETE OR TRUNCATE"),
        ("paymentfilestored", "UPDATE OR DELETE OR TRUNCATE"),
        ("suspenseitem", "UPDATE OF line_id, amount, arrived_on OR DELETE OR TRUNCATE"),
        (
            "outgoingpayment",
            "UPDATE OF kind, member_id, item_id, amount, holder, identification, end_to_end_id,"
            " requested_on OR DELETE OR TRUNCATE",
        ),
        ("bankdetails", "UPDATE OF member_id, identification, holder OR DELETE OR TRUNCATE"),
    )
)


def _moves(table: str, moves: Mapping[Any, Collection[Any]]) -> str:
    """A trigger that lets a state move along the core's table only."""
    allowed = ", ".join(
        f"('{old}', '{new}')" for old, targets in moves.items() for new in sorted(targets)
    )
    return f"""
CREATE FUNCTION public.accounts_{table}_moves() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (OLD.state::text, NEW.state::text) NOT IN ({allowed}) THEN
        RAISE EXCEPTION '% can''t become %', OLD.state, NEW.state USING ERRCODE = 'TN009';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER {table}_moves BEFORE UPDATE OF state ON public.accounts_{table}
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION public.accounts_{table}_moves();
"""


MOVES = (
    _moves("outgoingpayment", PAYMENT_MOVES)
    + _moves("suspenseitem", SUSPENSE_MOVES)
    + _moves("bankdetails", DETAILS_MOVES)
    + _moves("bankfile", {"refused": ("posted", "unchanged")})
)

# Each begins at the beginning, and says no more than its line: what is not an UPDATE can't go past
# the table of moves.
BEGINNINGS = """
CREATE FUNCTION public.accounts_begins() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM made WHERE state <> TG_ARGV[0]) THEN
        RAISE EXCEPTION 'a row of % begins as %', TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'TN009';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER bankdetails_begins AFTER INSERT ON public.accounts_bankdetails
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_begins('pending');
CREATE TRIGGER outgoingpayment_begins AFTER INSERT ON public.accounts_outgoingpayment
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_begins('requested');
CREATE FUNCTION public.accounts_item_of_line() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM made AS i LEFT JOIN public.accounts_bankline AS l ON l.id = i.line_id
        WHERE l.amount IS DISTINCT FROM i.amount OR l.outcome <> 'suspense'
            OR i.state NOT IN ('open', 'returned')
    ) THEN
        RAISE EXCEPTION 'a suspense item fits its line' USING ERRCODE = 'TN009';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER suspenseitem_of_line AFTER INSERT ON public.accounts_suspenseitem
    REFERENCING NEW TABLE AS made
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_item_of_line();
"""

# What a state brings with it changes with the state only. These look at a row each, as the moves
# do: a condition costs no call, and a row's old and new values are known without a join.
STAYS = """
CREATE FUNCTION public.accounts_stays() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'a row of % changes with its state only', TG_TABLE_NAME
        USING ERRCODE = 'TN009';
END $$;
CREATE TRIGGER bankdetails_stays BEFORE UPDATE ON public.accounts_bankdetails
    FOR EACH ROW WHEN (NOT (OLD.state = 'pending' AND NEW.state = 'verified') AND
        (OLD.verified_on, OLD.verified_by, OLD.usable_from)
        IS DISTINCT FROM (NEW.verified_on, NEW.verified_by, NEW.usable_from))
    EXECUTE FUNCTION public.accounts_stays();
CREATE TRIGGER outgoingpayment_stays BEFORE UPDATE OF file_id ON public.accounts_outgoingpayment
    FOR EACH ROW WHEN (OLD.file_id IS NOT NULL AND OLD.file_id IS DISTINCT FROM NEW.file_id)
    EXECUTE FUNCTION public.accounts_stays();
CREATE TRIGGER suspenseitem_stays BEFORE UPDATE OF member_id ON public.accounts_suspenseitem
    FOR EACH ROW WHEN (OLD.member_id IS NOT NULL AND OLD.member_id IS DISTINCT FROM NEW.member_id)
    EXECUTE FUNCTION public.accounts_stays();
"""

# Who takes as far as it goes must know how far that is: the balances under the locks that the
# posting will take anyway, in the same order.
HOLD_ACCOUNTS = """
CREATE FUNCTION public.accounts_hold_accounts(ids integer[])
RETURNS TABLE (account_id integer, held bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7401, 1);
    RETURN QUERY SELECT a.id, a.balance FROM public.accounts_account AS a
        WHERE a.id = ANY (ids) ORDER BY a.id FOR NO KEY UPDATE;
END $$;
REVOKE ALL ON FUNCTION public.accounts_hold_accounts(integer[]) FROM PUBLIC;
"""

UNDO = """
DROP FUNCTION public.accounts_begins() CASCADE;
DROP FUNCTION public.accounts_stays() CASCADE;
DROP FUNCTION public.accounts_item_of_line() CASCADE;
DROP FUNCTION public.accounts_hold_accounts(integer[]);
DROP FUNCTION public.accounts_outgoingpayment_moves() CASCADE;
DROP FUNCTION public.accounts_suspenseitem_moves() CASCADE;
DROP FUNCTION public.accounts_bankdetails_moves() CASCADE;
DROP FUNCTION public.accounts_bankfile_moves() CASCADE;
"""


def set_rights(apps: Any, schema_editor: Any) -> None:
    """The application's role may add, and change what has a life of its own."""
    tables = (
        "accounts_bankfile, accounts_bankstatement, accounts_bankline, accounts_suspenseitem,"
        " accounts_bankdetails, accounts_outgoingpayment, accounts_paymentfilestored"
    )
    limit_application(
        schema_editor.connection,
        f"REVOKE ALL ON {tables} FROM {{}}",
        f"GRANT SELECT, INSERT ON {tables} TO {{}}",
        "GRANT UPDATE (name, received_on, actor, state, refusal_code, refusal_message,"
        " refusal_where, recorded_at) ON accounts_bankfile TO {}",
        "GRANT UPDATE (state, member_id, actor, changed_on) ON accounts_suspenseitem TO {}",
        "GRANT UPDATE (state, verified_on, verified_by, usable_from) ON accounts_bankdetails TO {}",
        "GRANT UPDATE (state, file_id) ON accounts_outgoingpayment TO {}",
        "GRANT EXECUTE ON FUNCTION accounts_hold_accounts(integer[]) TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_ledger_rules"),
    ]

    operations = [
        migrations.CreateModel(
            name="BankFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("sha256", models.BinaryField(max_length=32, unique=True)),
                ("name", models.CharField(max_length=200)),
                ("format", models.CharField(max_length=10)),
                ("content", models.BinaryField()),
                ("received_on", models.DateField()),
                ("actor", models.CharField(max_length=60)),
                ("state", models.CharField(max_length=10)),
                ("refusal_code", models.CharField(blank=True, default="", max_length=40)),
                ("refusal_message", models.TextField(blank=True, default="")),
                ("refusal_where", models.CharField(blank=True, default="", max_length=200)),
                (
                    "recorded_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("format__in", ["camt053", "csv"])),
                        name="accounts_bankfile_format",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", ["posted", "unchanged", "refused"])),
                        name="accounts_bankfile_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state", "refused"), ("refusal_code", ""), _connector="XOR"
                        ),
                        name="accounts_bankfile_refused_with_a_code",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="BankStatement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("account", models.CharField(max_length=10)),
                ("statement_id", models.CharField(max_length=35)),
                ("sequence", models.BigIntegerField(null=True)),
                ("opening", models.BigIntegerField()),
                ("opened_on", models.DateField()),
                ("closing", models.BigIntegerField()),
                ("closed_on", models.DateField()),
                ("digest", models.BinaryField(max_length=32)),
                (
                    "file",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="statements",
                        to="accounts.bankfile",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="OutgoingPayment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("kind", models.CharField(max_length=10)),
                ("amount", models.BigIntegerField()),
                ("holder", models.CharField(max_length=140)),
                ("identification", models.CharField(max_length=34)),
                ("end_to_end_id", models.CharField(max_length=35, unique=True)),
                ("state", models.CharField(max_length=10)),
                ("requested_on", models.DateField()),
                ("actor", models.CharField(max_length=60)),
                (
                    "member",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="outgoing_payments",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="BankLine",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("account", models.CharField(max_length=10)),
                ("reference", models.CharField(max_length=60)),
                ("lasting_reference", models.CharField(max_length=60, null=True)),
                ("booked_on", models.DateField()),
                ("effective_on", models.DateField()),
                ("amount", models.BigIntegerField()),
                ("reversal", models.BooleanField()),
                ("end_to_end_id", models.CharField(max_length=35, null=True)),
                ("return_reason", models.CharField(max_length=35, null=True)),
                ("remittance", models.TextField()),
                ("counterparty", models.CharField(max_length=140)),
                ("counterparty_account", models.CharField(max_length=35)),
                ("outcome", models.CharField(max_length=20)),
                ("member_id", models.BigIntegerField(null=True)),
                (
                    "reverses",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reversed_by",
                        to="accounts.bankline",
                    ),
                ),
                (
                    "statement",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="accounts.bankstatement",
                    ),
                ),
                (
                    "payment",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="accounts.outgoingpayment",
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="PaymentFileStored",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("message_id", models.CharField(max_length=35, unique=True)),
                ("content", models.BinaryField()),
                ("count", models.IntegerField()),
                ("total", models.BigIntegerField()),
                ("requested_on", models.DateField()),
                ("actor", models.CharField(max_length=60)),
                (
                    "recorded_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("count__gt", 0), ("total__gt", 0)),
                        name="accounts_paymentfile_pays",
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="outgoingpayment",
            name="file",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="payments",
                to="accounts.paymentfilestored",
            ),
        ),
        migrations.CreateModel(
            name="BankDetails",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("holder", models.CharField(max_length=140)),
                ("identification", models.CharField(max_length=34)),
                ("state", models.CharField(max_length=10)),
                ("registered_on", models.DateField()),
                ("verified_on", models.DateField(null=True)),
                ("verified_by", models.CharField(blank=True, default="", max_length=60)),
                ("usable_from", models.DateField(null=True)),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="bank_details",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("state__in", ["pending", "verified"])),
                        fields=("member",),
                        name="accounts_bankdetails_one_current",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("state__in", ["pending", "verified", "refused", "replaced"])
                        ),
                        name="accounts_bankdetails_state",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "verified"), _negated=True),
                            models.Q(
                                ("usable_from__gte", models.F("verified_on")),
                                ("verified_on__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="accounts_bankdetails_verified_on_a_day",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SuspenseItem",
            fields=[
                (
                    "line",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="item",
                        serialize=False,
                        to="accounts.bankline",
                    ),
                ),
                ("amount", models.BigIntegerField()),
                ("state", models.CharField(max_length=10)),
                ("actor", models.CharField(max_length=60)),
                ("arrived_on", models.DateField()),
                ("changed_on", models.DateField()),
                (
                    "member",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="outgoingpayment",
            name="item",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="payments",
                to="accounts.suspenseitem",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankstatement",
            constraint=models.UniqueConstraint(
                fields=("account", "statement_id"), name="accounts_bankstatement_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankstatement",
            constraint=models.CheckConstraint(
                condition=models.Q(("account__in", ["client", "own", "fund"])),
                name="accounts_bankstatement_account",
            ),
        ),
        migrations.AddIndex(
            model_name="bankline",
            index=models.Index(fields=["account", "amount"], name="accounts_bankline_by_amount"),
        ),
        migrations.AddIndex(
            model_name="bankline",
            index=models.Index(fields=["outcome", "id"], name="accounts_bankline_by_outcome"),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.UniqueConstraint(
                fields=("statement", "reference"), name="accounts_bankline_once_in_statement"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.UniqueConstraint(
                fields=("account", "lasting_reference"), name="accounts_bankline_once_in_account"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount", 0), _negated=True),
                name="accounts_bankline_moves_money",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(("account__in", ["client", "own", "fund"])),
                name="accounts_bankline_account",
            ),
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
                            "unexplained",
                        ],
                    )
                ),
                name="accounts_bankline_outcome",
            ),
        ),
        migrations.AddConstraint(
            model_name="suspenseitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__gt", 0)),
                name="accounts_suspenseitem_amount_above_zero",
            ),
        ),
        migrations.AddConstraint(
            model_name="suspenseitem",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["open", "assigned", "returning", "returned"])),
                name="accounts_suspenseitem_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="suspenseitem",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state", "assigned"), ("member__isnull", True), _connector="XOR"
                ),
                name="accounts_suspenseitem_assigned_to_a_member",
            ),
        ),
        migrations.AddIndex(
            model_name="outgoingpayment",
            index=models.Index(fields=["state", "id"], name="accounts_outgoing_by_state"),
        ),
        migrations.AddConstraint(
            model_name="outgoingpayment",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__gt", 0)), name="accounts_outgoing_amount_above_zero"
            ),
        ),
        migrations.AddConstraint(
            model_name="outgoingpayment",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["withdrawal", "return", "sweep"])),
                name="accounts_outgoing_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="outgoingpayment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        ["requested", "cancelled", "sent", "confirmed", "rejected", "returned"],
                    )
                ),
                name="accounts_outgoing_state",
            ),
        ),
        migrations.AddConstraint(
            model_name="outgoingpayment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("item__isnull", True), ("kind", "withdrawal"), ("member__isnull", False)
                    ),
                    models.Q(("item__isnull", False), ("kind", "return"), ("member__isnull", True)),
                    models.Q(("item__isnull", True), ("kind", "sweep"), ("member__isnull", True)),
                    _connector="OR",
                ),
                name="accounts_outgoing_of_its_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="outgoingpayment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state__in", ["requested", "cancelled"]),
                    ("file__isnull", False),
                    _connector="XOR",
                ),
                name="accounts_outgoing_sent_in_a_file",
            ),
        ),
        migrations.AddConstraint(
            model_name="outgoingpayment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind", "sweep"), ("state__in", ["requested", "sent"])),
                fields=("kind",),
                name="accounts_outgoing_one_sweep",
            ),
        ),
        migrations.AddConstraint(
            model_name="outgoingpayment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["requested", "sent"])),
                fields=("item",),
                name="accounts_outgoing_one_return",
            ),
        ),
        migrations.RunSQL(
            APPEND_ONLY + MOVES + BEGINNINGS + STAYS + HOLD_ACCOUNTS, reverse_sql=UNDO
        ),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
