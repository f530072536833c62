"""Closing business days, and what the database keeps of it: a step that is done stays done."""

from typing import Any

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from accounts.services.rights import limit_application

_STEPS = [
    "bounces",
    "fall_due",
    "collect",
    "rests",
    "distribute",
    "age",
    "fund",
    "lapse",
    "pay_out",
    "settle_debts",
    "top_up",
    "cycle",
    "sweep",
    "notices",
    "reconcile",
    "seal",
]

KEPT = """
CREATE FUNCTION public.marketplace_day_is_closed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'what closing % did is done already', OLD.day USING ERRCODE = 'TN107';
END $$;

CREATE TRIGGER dayrun_ends BEFORE UPDATE ON public.marketplace_dayrun
    FOR EACH ROW WHEN (OLD.finished_at IS NOT NULL)
    EXECUTE FUNCTION public.marketplace_day_is_closed();
CREATE TRIGGER daystep_ends BEFORE UPDATE ON public.marketplace_daystep
    FOR EACH ROW WHEN (OLD.done_at IS NOT NULL)
    EXECUTE FUNCTION public.marketplace_day_is_closed();
CREATE TRIGGER dayrun_stays BEFORE DELETE OR TRUNCATE ON public.marketplace_dayrun
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER daystep_stays BEFORE DELETE OR TRUNCATE ON public.marketplace_daystep
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
"""
UNDO = """
DROP FUNCTION public.marketplace_day_is_closed() CASCADE;
DROP TRIGGER daystep_stays ON public.marketplace_daystep;
DROP TRIGGER dayrun_stays ON public.marketplace_dayrun;
"""


def set_rights(apps: Any, schema_editor: Any) -> None:
    """The application adds days and steps, and carries them to their end; drafts are its own."""
    limit_application(
        schema_editor.connection,
        "REVOKE UPDATE, DELETE ON marketplace_dayrun, marketplace_daystep FROM {}",
        "GRANT UPDATE (finished_at) ON marketplace_dayrun TO {}",
        "GRANT UPDATE (counts, note, milliseconds, done_at) ON marketplace_daystep TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0002_market_rules")]

    operations = [
        migrations.CreateModel(
            name="DayRun",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("actor", models.CharField(max_length=60)),
                (
                    "started_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("finished_at", models.DateTimeField(null=True)),
            ],
            options={"ordering": ["day"]},
        ),
        migrations.CreateModel(
            name="DayStep",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=20)),
                ("counts", models.JSONField(default=dict)),
                ("note", models.CharField(blank=True, default="", max_length=200)),
                ("milliseconds", models.BigIntegerField(default=0)),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "run",
                    models.ForeignKey(
                        db_column="day",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="steps",
                        to="marketplace.dayrun",
                    ),
                ),
            ],
            options={
                "ordering": ["run", "id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("run", "name"), name="marketplace_daystep_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name__in", _STEPS)), name="marketplace_daystep_name"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("milliseconds__gte", 0)),
                        name="marketplace_daystep_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="StagedSlice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("day", models.DateField()),
                ("number", models.SmallIntegerField()),
                ("slices", models.SmallIntegerField()),
                ("loans", models.IntegerField()),
                ("packed", models.BinaryField()),
                (
                    "staged_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "number", "slices"), name="marketplace_stagedslice_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("number__gte", 0), ("number__lt", models.F("slices"))),
                        name="marketplace_stagedslice_number",
                    ),
                ],
            },
        ),
        migrations.RunSQL(KEPT, reverse_sql=UNDO),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
