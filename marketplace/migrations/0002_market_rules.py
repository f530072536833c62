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

# Who held a part at default shares in what is recovered: from then on it can't change hands.
PARTS_STAY_AFTER_DEFAULT = """
CREATE FUNCTION public.marketplace_check_holders() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT l.id INTO wrong FROM (
        SELECT id, state FROM public.marketplace_loan
        WHERE id IN (
            SELECT n.loan_id FROM after AS n JOIN before AS o ON o.id = n.id
            WHERE o.lender_id <> n.lender_id)
        ORDER BY id FOR SHARE
    ) AS l
    WHERE l.state IN ('default', 'written_off', 'settled', 'recovered') ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the parts of loan % can''t change hands: it was in default', wrong
            USING ERRCODE = 'TN106';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER parts_stay_after_default AFTER UPDATE ON public.marketplace_part
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_check_holders();
"""

# A row follows on from the one before, has one total for each part, and holds together: the sums,
# the fee within the interest, the principal within the part; and what a payment brought is what it
# was allocated to, less the provision fund's share and the costs. No row is changed, but for the
# day on which what it brought was put on offer again.
DISTRIBUTIONS_FOLLOW_ON = """
CREATE FUNCTION public.marketplace_check_distributions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
    given bigint;
    moved bigint;
BEGIN
    SELECT w.loan_id INTO wrong FROM written AS w CROSS JOIN LATERAL (
        SELECT count(*) AS parts, sum(w.principal[p.number]) AS principal,
            sum(w.interest[p.number]) AS interest, sum(w.fee[p.number]) AS fee,
            bool_and((w.principal[p.number] BETWEEN 0 AND p.size
                AND w.fee[p.number] BETWEEN 0 AND w.interest[p.number]) IS TRUE) AS sound
        FROM public.marketplace_part AS p WHERE p.loan_id = w.loan_id
    ) AS s
    WHERE s.sound IS NOT TRUE OR s.principal <> w.principal_total
        OR s.interest <> w.interest_total OR s.fee <> w.fee_total
        OR s.parts <> cardinality(w.principal) OR s.parts <> cardinality(w.interest)
        OR s.parts <> cardinality(w.fee) OR array_ndims(w.principal) <> 1
        OR array_ndims(w.interest) <> 1 OR array_ndims(w.fee) <> 1
    ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the totals of the parts of loan % do not make up a distribution', wrong
            USING ERRCODE = 'TN102';
    END IF;

    SELECT w.loan_id INTO wrong FROM written AS w
    LEFT JOIN public.marketplace_distribution AS d
        ON d.loan_id = w.loan_id AND d.number = w.number - 1
    LEFT JOIN public.marketplace_payment AS y ON y.id = w.payment_id AND y.loan_id = w.loan_id
    WHERE w.payment_id IS NOT NULL AND (y.id IS NULL
        OR w.principal_total - coalesce(d.principal_total, 0)
            <> y.principal - y.to_fund_principal - y.cost_principal
        OR w.interest_total - coalesce(d.interest_total, 0)
            <> y.interest - y.to_fund_interest - y.cost_interest
        OR w.fee_total < coalesce(d.fee_total, 0))
    ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a distribution over loan % is not what its payment brought', wrong
            USING ERRCODE = 'TN103';
    END IF;

    SELECT count(DISTINCT loan_id) INTO given FROM written;
    UPDATE public.marketplace_loan AS l SET distributions = w.last
    FROM (
        SELECT loan_id, min(number) AS first, max(number) AS last, count(*) AS rows
        FROM written GROUP BY loan_id
    ) AS w
    WHERE l.id = w.loan_id AND w.first = l.distributions + 1
        AND w.last = l.distributions + w.rows;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> given THEN
        RAISE EXCEPTION 'a distribution does not follow on from the one before it'
            USING ERRCODE = 'TN105';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER distributions_follow_on AFTER INSERT ON public.marketplace_distribution
    REFERENCING NEW TABLE AS written
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_check_distributions();
"""

# What each part has received, for readers in SQL; a loan without a distribution has no rows here.
PART_RECEIVED = """
CREATE VIEW public.marketplace_partreceived AS
    SELECT d.loan_id, u.number::integer AS number, u.principal, u.interest, u.fee
    FROM public.marketplace_loan AS l
    JOIN public.marketplace_distribution AS d
        ON d.loan_id = l.id AND d.number = l.distributions
    CROSS JOIN LATERAL unnest(d.principal, d.interest, d.fee)
        WITH ORDINALITY AS u (principal, interest, fee, number);
"""

APPEND_ONLY = """
CREATE FUNCTION public.marketplace_refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: it is a record of what happened', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'TN001';
END $$;

CREATE TRIGGER distribution_append_only
    BEFORE DELETE OR TRUNCATE OR UPDATE OF id, loan_id, number, payment_id, kind, spread_on,
        principal_total, interest_total, fee_total, principal, interest, fee
    ON public.marketplace_distribution
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER distribution_topped_up_once
    BEFORE UPDATE ON public.marketplace_distribution FOR EACH ROW
    WHEN (OLD.topped_up_on IS NOT NULL OR NEW.topped_up_on IS NULL)
    EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER loanevent_append_only
    BEFORE DELETE OR TRUNCATE OR UPDATE OF id, loan_id, number, kind, effective_on, recorded_on,
        actor, reason, amount, interest, months, day, until, cause, payment
    ON public.marketplace_loanevent
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER loanevent_voided_once
    BEFORE UPDATE ON public.marketplace_loanevent FOR EACH ROW
    WHEN (OLD.voided_on IS NOT NULL OR NEW.voided_on IS NULL)
    EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER payment_stays BEFORE DELETE OR TRUNCATE ON public.marketplace_payment
    FOR EACH STATEMENT EXECUTE FUNCTION public.marketplace_refuse_change();
CREATE TRIGGER instalment_with_money_stays BEFORE DELETE ON public.marketplace_instalment
    FOR EACH ROW WHEN (OLD.principal_paid + OLD.interest_paid <> 0)
    EXECUTE FUNCTION public.marketplace_refuse_change();
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

# Half-empty pages keep the monthly update of a loan, and the nightly one of an offer, on its page,
# without touching any index. What a cycle saw is packed already, and totals of parts are read and
# written whole, so compressing them costs more than it saves.
LAYOUT = """
ALTER TABLE public.marketplace_loan SET (fillfactor = 50);
ALTER TABLE public.marketplace_offer SET (fillfactor = 50);
ALTER TABLE public.marketplace_cyclesight ALTER COLUMN packed SET STORAGE EXTERNAL;
ALTER TABLE public.marketplace_distribution
    ALTER COLUMN principal SET STORAGE EXTERNAL,
    ALTER COLUMN interest SET STORAGE EXTERNAL,
    ALTER COLUMN fee SET STORAGE EXTERNAL;
"""

UNDO = """
DROP TRIGGER cyclesight_append_only ON public.marketplace_cyclesight;
DROP TRIGGER cyclemarket_append_only ON public.marketplace_cyclemarket;
DROP TRIGGER part_stays ON public.marketplace_part;
DROP TRIGGER loanmove_append_only ON public.marketplace_loanmove;
DROP VIEW public.marketplace_partreceived;
DROP TRIGGER instalment_with_money_stays ON public.marketplace_instalment;
DROP TRIGGER payment_stays ON public.marketplace_payment;
DROP TRIGGER loanevent_voided_once ON public.marketplace_loanevent;
DROP TRIGGER loanevent_append_only ON public.marketplace_loanevent;
DROP TRIGGER distribution_topped_up_once ON public.marketplace_distribution;
DROP TRIGGER distribution_append_only ON public.marketplace_distribution;
DROP TRIGGER distributions_follow_on ON public.marketplace_distribution;
DROP TRIGGER parts_stay_after_default ON public.marketplace_part;
DROP TRIGGER parts_make_the_loan ON public.marketplace_part;
DROP FUNCTION public.marketplace_refuse_change();
DROP FUNCTION public.marketplace_check_distributions();
DROP FUNCTION public.marketplace_check_holders();
DROP FUNCTION public.marketplace_check_parts();
"""


def set_rights(apps: Any, schema_editor: Any) -> None:
    """The application may write what happened, but not change it."""
    limit_application(
        schema_editor.connection,
        "REVOKE UPDATE, DELETE ON marketplace_part, marketplace_distribution,"
        " marketplace_loanmove, marketplace_loanevent, marketplace_cyclemarket,"
        " marketplace_cyclesight FROM {}",
        # What was owed and paid stays on record, whatever becomes of it. Instalments are written
        # anew when a loan changes: those on which something is paid stay (see above).
        "REVOKE DELETE ON marketplace_loan, marketplace_payment FROM {}",
        "REVOKE INSERT, UPDATE, DELETE ON marketplace_partreceived FROM {}",
        "GRANT SELECT ON marketplace_partreceived TO {}",
        # A sale moves a part to another lender; nothing else of a part may be changed.
        "GRANT UPDATE (lender_id) ON marketplace_part TO {}",
        "GRANT UPDATE (topped_up_on) ON marketplace_distribution TO {}",
        "GRANT UPDATE (voided_on, voided_by) ON marketplace_loanevent TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [("marketplace", "0001_initial")]

    operations = [
        migrations.RunSQL(
            PARTS_MAKE_THE_LOAN
            + PARTS_STAY_AFTER_DEFAULT
            + DISTRIBUTIONS_FOLLOW_ON
            + PART_RECEIVED
            + APPEND_ONLY
            + LAYOUT,
            reverse_sql=UNDO,
        ),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
