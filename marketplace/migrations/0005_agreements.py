"""Agreements, cancelled matches, notices, contacts, promises: what the database keeps of them."""

import uuid
from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import marketplace.core.promises
from accounts.services.rights import limit_application

KEPT = """
CREATE TRIGGER agreement_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.marketplace_agreement
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER contact_append_only
    BEFORE UPDATE ON public.marketplace_contact
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
"""

UNDO = """
DROP TRIGGER contact_append_only ON public.marketplace_contact;
DROP TRIGGER agreement_append_only ON public.marketplace_agreement;
"""


def set_rights(apps: Any, schema_editor: Any) -> None:
    """What was agreed, told, said and promised stays; only what became of it is written later.

    Contacts and notices hold personal data: the owner may delete them where a person is erased.
    """
    limit_application(
        schema_editor.connection,
        "REVOKE UPDATE, DELETE ON marketplace_agreement, marketplace_contact, marketplace_notice,"
        " marketplace_promise FROM {}",
        "GRANT UPDATE (delivered_at, attempts, failure) ON marketplace_notice TO {}",
        "GRANT UPDATE (state, judged_on) ON marketplace_promise TO {}",
        "REVOKE UPDATE, DELETE ON marketplace_repaidmatched FROM {}",
        "GRANT UPDATE (returned) ON marketplace_repaidmatched TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [
        ("marketplace", "0004_fund"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Contact",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("on", models.DateField()),
                (
                    "channel",
                    models.CharField(
                        choices=[
                            ("phone", "phone"),
                            ("email", "email"),
                            ("letter", "letter"),
                            ("message", "message"),
                            ("meeting", "meeting"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "direction",
                    models.CharField(choices=[("in", "in"), ("out", "out")], max_length=3),
                ),
                ("note", models.TextField()),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "loan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="contacts",
                        to="marketplace.loan",
                    ),
                ),
                (
                    "staff",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="Notice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("public_id", models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ("template", models.CharField(max_length=40)),
                ("version", models.SmallIntegerField()),
                ("occasion", models.CharField(max_length=60)),
                ("subject", models.CharField(max_length=200)),
                ("body", models.TextField()),
                ("written_on", models.DateField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("delivered_at", models.DateTimeField(null=True)),
                ("attempts", models.SmallIntegerField(default=0)),
                ("failure", models.CharField(blank=True, max_length=100)),
                (
                    "loan",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notices",
                        to="marketplace.loan",
                    ),
                ),
                (
                    "member",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notices",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="Promise",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("amount", models.BigIntegerField()),
                ("due_on", models.DateField()),
                ("made_on", models.DateField()),
                (
                    "state",
                    models.CharField(
                        choices=[("open", "open"), ("kept", "kept"), ("broken", "broken")],
                        default=marketplace.core.promises.PromiseState["OPEN"],
                        max_length=6,
                    ),
                ),
                ("judged_on", models.DateField(null=True)),
                ("actor", models.CharField(max_length=60)),
                (
                    "loan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="promises",
                        to="marketplace.loan",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
            },
        ),
        migrations.CreateModel(
            name="Agreement",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("version", models.SmallIntegerField()),
                ("text", models.TextField()),
                ("digest", models.CharField(max_length=64)),
                ("offered_on", models.DateField()),
                ("accept_by", models.DateField()),
                ("accepted_on", models.DateField()),
                ("actor", models.CharField(max_length=60)),
                ("recorded_at", models.DateTimeField(auto_now_add=True)),
                (
                    "loan",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="agreement",
                        to="marketplace.loan",
                    ),
                ),
            ],
            options={
                "ordering": ["loan"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("accepted_on__gte", models.F("offered_on")),
                            ("accepted_on__lte", models.F("accept_by")),
                        ),
                        name="marketplace_agreement_accepted_in_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("digest__regex", "^[0-9a-f]{64}$")),
                        name="marketplace_agreement_digest",
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(fields=["member", "id"], name="marketplace_notice_member"),
        ),
        migrations.AddIndex(
            model_name="notice",
            index=models.Index(
                condition=models.Q(("delivered_at__isnull", True)),
                fields=["attempts", "id"],
                name="marketplace_notice_to_deliver",
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.UniqueConstraint(
                fields=("occasion", "template", "member", "loan"),
                name="marketplace_notice_once",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="notice",
            constraint=models.CheckConstraint(
                condition=models.Q(("attempts__gte", 0)), name="marketplace_notice_attempts"
            ),
        ),
        migrations.AddIndex(
            model_name="promise",
            index=models.Index(
                condition=models.Q(("state", marketplace.core.promises.PromiseState["OPEN"])),
                fields=["due_on"],
                name="marketplace_promise_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="promise",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount__gt", 0), ("due_on__gte", models.F("made_on"))),
                name="marketplace_promise_amount_and_day",
            ),
        ),
        migrations.AddConstraint(
            model_name="promise",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("judged_on__isnull", True),
                        ("state", marketplace.core.promises.PromiseState["OPEN"]),
                    ),
                    models.Q(
                        ("judged_on__isnull", False),
                        (
                            "state__in",
                            [
                                marketplace.core.promises.PromiseState["KEPT"],
                                marketplace.core.promises.PromiseState["BROKEN"],
                            ],
                        ),
                    ),
                    _connector="OR",
                ),
                name="marketplace_promise_judged",
            ),
        ),
        migrations.CreateModel(
            name="RepaidMatched",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("taken", models.BigIntegerField()),
                ("returned", models.BigIntegerField(db_default=0)),
                (
                    "cycle",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="marketplace.cycle",
                    ),
                ),
                (
                    "offer",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="marketplace.offer",
                    ),
                ),
            ],
            options={
                "ordering": ["id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("cycle", "offer"), name="marketplace_repaidmatched_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("returned__gte", 0),
                            ("returned__lte", models.F("taken")),
                            ("taken__gt", 0),
                        ),
                        name="marketplace_repaidmatched_returned_within_taken",
                    ),
                ],
            },
        ),
        migrations.RunSQL(KEPT, reverse_sql=UNDO),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
