"""The rules that the database keeps for loans, parts and distributions: see docs/servicing.md.

Parts and distributions are written in bulk, so their rules are checked a statement at a time.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

from accounts.services.rights import limit_application

# All parts of a loan are written by one statement: it has the loan's first part, and there is only
# one of those. So what was written before need not be read again.
PARTS_MAKE_THE_LOAN = """
CREATE FUNCTION public.marketplace_check_parts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
    is_strange boolean;
BEGIN
    SELECT w.loan_id, w.is_strange INTO wrong, is_strange FROM (
        SELECT n.loan_id, l.id IS NULL OR bool_or(o.id IS NULL) AS is_strange
        FROM written AS n
        LEFT JOIN public.marketplace_loan AS l ON l.id = n.loan_id
        LEFT JOIN public.marketplace_offer AS o ON o.id = n.offer_id AND o.lender_id = n.lender_id
        GROUP BY n.loan_id, l.id, l.amount, l.borrower_id
        HAVING l.id IS NULL OR bool_or(o.id IS NULL) OR sum(n.size) <> l.amount
            OR min(n.number) <> 1 OR bool_or(n.size % 1000 <> 0)
            OR bool_or(n.lender_id = l.borrower_id)
            OR bool_or(n.principal_received + n.interest_received + n.fee_paid <> 0)
    ) AS w ORDER BY 2 DESC, 1 LIMIT 1;
    IF is_strange THEN
        RAISE EXCEPTION 'a part of loan % has no loan, or an offer that is not its lender''s', wrong
            USING ERRCODE = 'TN104';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'the parts of loan % do not make it up', wrong USING ERRCODE = 'TN101';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER parts_make_the_loan AFTER INSERT ON public.marketplace_part
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_check_parts();
"""

# Running totals of parts are moved here and nowhere else: the application may not write them.
DISTRIBUTIONS_MOVE_PARTS = """
CREATE FUNCTION public.marketplace_move_parts() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
    given bigint;
    moved bigint;
BEGIN
    SELECT s.payment_id INTO wrong FROM (
        SELECT payment_id, sum(principal) AS principal, sum(interest) AS interest
        FROM written GROUP BY payment_id
    ) AS s
    LEFT JOIN public.marketplace_payment AS p ON p.id = s.payment_id
    WHERE p.id IS NULL OR p.principal <> s.principal OR p.interest <> s.interest
    ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the shares of payment % do not make it up', wrong
            USING ERRCODE = 'TN102';
    END IF;

    SELECT count(*) INTO given FROM written;
    UPDATE public.marketplace_part AS p
    SET principal_received = p.principal_received + w.principal,
        interest_received = p.interest_received + w.interest,
        fee_paid = p.fee_paid + w.fee
    FROM written AS w
    JOIN public.marketplace_payment AS y ON y.id = w.payment_id
    WHERE p.id = w.part_id AND p.loan_id = y.loan_id;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> given THEN
        RAISE EXCEPTION 'a share goes to an unknown part, to another loan''s, or to one part twice'
            USING ERRCODE = 'TN103';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER distributions_move_parts AFTER INSERT ON public.marketplace_distribution
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_move_parts();
"""

APPEND_ONLY = """
CREATE FUNCTION public.marketplace_refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: it is a record of what happened', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'TN001';
END $$;

CREATE TRIGGER distribution_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.marketplace_distribution
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER loanmove_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.marketplace_loanmove
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER cyclemarket_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.marketplace_cyclemarket
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER cyclesight_append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.marketplace_cyclesight
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER part_stays BEFORE DELETE OR TRUNCATE ON public.marketplace_part
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
"""

# Half-empty pages keep the monthly update of a part, and the nightly one of an offer, on its page,
# without touching any index. What a cycle saw is packed already.
LAYOUT = """
ALTER TABLE public.marketplace_part SET (fillfactor = 50);
ALTER TABLE public.marketplace_offer SET (fillfactor = 50);
ALTER TABLE public.marketplace_cyclesight ALTER COLUMN packed SET STORAGE EXTERNAL;
"""

UNDO = """
DROP TRIGGER cyclesight_append_only ON public.marketplace_cyclesight;
DROP TRIGGER cyclemarket_append_only ON public.marketplace_cyclemarket;
DROP TRIGGER part_stays ON public.marketplace_part;
DROP TRIGGER loanmove_append_only ON public.marketplace_loanmove;
DROP TRIGGER distribution_append_only ON public.marketplace_distribution;
DROP TRIGGER distributions_move_parts ON public.marketplace_distribution;
DROP TRIGGER parts_make_the_loan ON public.marketplace_part;
DROP FUNCTION public.marketplace_refuse_change();
DROP FUNCTION public.marketplace_move_parts();
DROP FUNCTION public.marketplace_check_parts();
"""


def set_rights(apps: Any, schema_editor: Any) -> None:
    """The application may write parts and distributions, but not change what they hold."""
    limit_application(
        schema_editor.connection,
        "REVOKE UPDATE, DELETE ON marketplace_part, marketplace_distribution,"
        " marketplace_loanmove, marketplace_cyclemarket, marketplace_cyclesight FROM {}",
        # What was owed and paid stays on record, whatever becomes of it.
        "REVOKE DELETE ON marketplace_loan, marketplace_instalment, marketplace_payment FROM {}",
        # A sale moves a part to another lender; nothing else of a part may be changed.
        "GRANT UPDATE (lender_id) ON marketplace_part TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0001_initial")]

    operations = [
        migrations.RunSQL(
            PARTS_MAKE_THE_LOAN + DISTRIBUTIONS_MOVE_PARTS + APPEND_ONLY + LAYOUT,
            reverse_sql=UNDO,
        ),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
