"""The provision fund's claims and decisions; an award is checked against the event that pays it."""

from typing import Any

import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.db.models.lookups
from django.db import migrations, models

from accounts.services.rights import limit_application

_STATES = ["proposed", "paid_in_part", "paid", "declined"]

# All awards of a decision are written by one statement, after the events that pay them.
KEPT = """
CREATE FUNCTION public.marketplace_check_awards() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT w.claim_id INTO wrong FROM written AS w
    JOIN public.marketplace_fundclaim AS c ON c.id = w.claim_id
    LEFT JOIN public.marketplace_loanevent AS e ON e.loan_id = c.loan_id AND e.number = w.number
    WHERE w.number IS NOT NULL AND (e.kind = 'fund_payment' AND e.voided_on IS NULL
        AND e.amount = w.principal AND e.interest = w.interest) IS NOT TRUE
    ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'nothing pays what was awarded to claim %', wrong USING ERRCODE = 'TN121';
    END IF;

    SELECT d.id INTO wrong FROM public.marketplace_funddecision AS d
    JOIN (SELECT DISTINCT decision_id FROM written) AS n ON n.decision_id = d.id
    JOIN public.marketplace_fundaward AS a ON a.decision_id = d.id
    GROUP BY d.id, d.paid, d.claims
    HAVING sum(a.principal + a.interest) <> d.paid OR count(*) <> d.claims
    ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the awards of decision % do not make it up', wrong
            USING ERRCODE = 'TN122';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER awards_make_the_decision AFTER INSERT ON public.marketplace_fundaward
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_check_awards();
CREATE TRIGGER funddecision_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.marketplace_funddecision
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER fundaward_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.marketplace_fundaward
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER fundclaim_stays
    BEFORE UPDATE OF id, loan_id, claimed_on, recorded_at, actor, principal, interest OR DELETE
    OR TRUNCATE ON public.marketplace_fundclaim
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
"""
UNDO = """
DROP TRIGGER fundclaim_stays ON public.marketplace_fundclaim;
DROP TRIGGER fundaward_append_only ON public.marketplace_fundaward;
DROP TRIGGER funddecision_append_only ON public.marketplace_funddecision;
DROP TRIGGER awards_make_the_decision ON public.marketplace_fundaward;
DROP FUNCTION public.marketplace_check_awards();
"""


def set_rights(apps: Any, schema_editor: Any) -> None:
    """The application adds claims, decisions and awards; of a claim it may change the state."""
    limit_application(
        schema_editor.connection,
        "REVOKE UPDATE, DELETE ON marketplace_fundclaim, marketplace_funddecision,"
        " marketplace_fundaward FROM {}",
        "GRANT UPDATE (state) ON marketplace_fundclaim TO {}",
    )


def _key() -> tuple[str, Any]:
    return (
        "id",
        models.BigAutoField(
            auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
        ),
    )


def _recorded_at() -> tuple[str, Any]:
    return (
        "recorded_at",
        models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
    )


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0003_closing")]

    operations = [
        migrations.CreateModel(
            name="FundClaim",
            fields=[
                _key(),
                ("claimed_on", models.DateField()),
                _recorded_at(),
                ("actor", models.CharField(max_length=60)),
                ("principal", models.BigIntegerField()),
                ("interest", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[(state, state) for state in _STATES],
                        db_default="proposed",
                        max_length=12,
                    ),
                ),
                (
                    "loan",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="fund_claim",
                        to="marketplace.loan",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("interest__gte", 0),
                            ("principal__gte", 0),
                            models.Q(("principal__gt", 0), ("interest__gt", 0), _connector="OR"),
                        ),
                        name="marketplace_fundclaim_amounts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("state__in", _STATES)),
                        name="marketplace_fundclaim_state",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FundDecision",
            fields=[
                _key(),
                ("decided_on", models.DateField()),
                _recorded_at(),
                ("proportion", models.IntegerField()),
                ("claims", models.IntegerField()),
                ("claimed", models.BigIntegerField()),
                ("paid", models.BigIntegerField()),
                ("balance_before", models.BigIntegerField()),
                ("decided_by", models.CharField(max_length=60)),
                ("second", models.CharField(blank=True, db_default="", max_length=60)),
                ("reason", models.CharField(max_length=200)),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("claimed__gt", 0),
                            ("claims__gt", 0),
                            ("proportion__range", (0, 1_000_000)),
                            ("paid__gte", 0),
                            ("paid__lte", models.F("claimed")),
                            ("paid__lte", models.F("balance_before")),
                        ),
                        name="marketplace_funddecision_amounts",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reason", ""), _negated=True),
                            models.Q(("decided_by", ""), _negated=True),
                        ),
                        name="marketplace_funddecision_has_a_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("second", ""),
                            models.Q(
                                django.db.models.lookups.Exact(
                                    django.db.models.functions.text.Lower("second"),
                                    django.db.models.functions.text.Lower("decided_by"),
                                ),
                                _negated=True,
                            ),
                            _connector="OR",
                        ),
                        name="marketplace_funddecision_second_person",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="FundAward",
            fields=[
                _key(),
                ("number", models.SmallIntegerField(null=True)),
                ("principal", models.BigIntegerField()),
                ("interest", models.BigIntegerField()),
                (
                    "claim",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="awards",
                        to="marketplace.fundclaim",
                    ),
                ),
                (
                    "decision",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="awards",
                        to="marketplace.funddecision",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("decision", "claim"), name="marketplace_fundaward_once"
                    ),
                    models.UniqueConstraint(
                        fields=("claim", "number"), name="marketplace_fundaward_one_event"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("interest__gte", 0),
                            ("principal__gte", 0),
                            models.Q(
                                models.Q(
                                    ("interest", 0), ("number__isnull", True), ("principal", 0)
                                ),
                                models.Q(
                                    ("number__isnull", False),
                                    models.Q(
                                        ("principal__gt", 0), ("interest__gt", 0), _connector="OR"
                                    ),
                                ),
                                _connector="OR",
                            ),
                        ),
                        name="marketplace_fundaward_amounts",
                    ),
                ],
            },
        ),
        migrations.RunSQL(KEPT, reverse_sql=UNDO),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
