"""The rules that the database keeps, whoever writes: see docs/ledger.md.

Trigger functions run with the owner's rights and a fixed search path, and know no switch that
makes them look away. Refusals use the SQLSTATE class TN, which the posting gate translates.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

from accounts.core.chart import CHART
from accounts.services.rights import limit_application

# The transfers' table: see docs/decisions/0007-transfers-by-account.md for why it lies like this.
# The columns are in an order that leaves no gaps between them.
TRANSFERS = """
CREATE TABLE public.accounts_transfer (
    id bigint GENERATED ALWAYS AS IDENTITY,
    entry_id bigint NOT NULL,
    amount bigint NOT NULL,
    debit_id integer NOT NULL,
    credit_id integer NOT NULL,
    effective_on date NOT NULL,
    book smallint NOT NULL,
    CONSTRAINT accounts_transfer_moves_money
        CHECK (amount BETWEEN 1 AND 100000000000 AND debit_id <> credit_id)
) PARTITION BY RANGE (effective_on);

CREATE INDEX accounts_transfer_by_debit
    ON public.accounts_transfer (debit_id, effective_on, id);
CREATE INDEX accounts_transfer_by_credit
    ON public.accounts_transfer (credit_id, effective_on, id);
CREATE INDEX accounts_transfer_by_entry
    ON public.accounts_transfer USING brin (entry_id)
    WITH (pages_per_range = 16, autosummarize = on);
ALTER TABLE public.accounts_account SET (fillfactor = 50);
CREATE INDEX accounts_entry_made_in ON public.accounts_entry (made_in);
"""

APPEND_ONLY = """
CREATE FUNCTION public.accounts_refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the book is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'TN001';
END $$;

CREATE TRIGGER account_stays BEFORE DELETE OR TRUNCATE ON public.accounts_account
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
""" + "".join(
    f"""
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.accounts_{table}
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
"""
    for table in ("entry", "transfer", "closedday", "seal", "sealedentry", "daybalance")
)

ACCOUNT_FROM_CHART = """
CREATE FUNCTION public.accounts_open_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE line public.accounts_chartline%ROWTYPE;
BEGIN
    SELECT * INTO line FROM public.accounts_chartline WHERE kind = NEW.kind;
    IF NOT FOUND OR NEW.stripe NOT BETWEEN 0 AND line.stripes - 1
        OR NEW.owner_id < 0 OR (NEW.owner_id = 0) <> (line.owner = 'platform') THEN
        RAISE EXCEPTION 'no such account in the chart: % of owner %, stripe %',
            NEW.kind, NEW.owner_id, NEW.stripe USING ERRCODE = 'TN002';
    END IF;
    NEW.book := line.book;
    NEW.side := line.side;
    NEW.pooled := line.floored AND line.stripes > 1;
    NEW.floor := CASE WHEN line.floored AND NOT NEW.pooled THEN 0 END;
    NEW.balance := 0;
    NEW.closed_on := NULL;
    RETURN NEW;
END $$;

CREATE TRIGGER account_from_chart BEFORE INSERT ON public.accounts_account
    FOR EACH ROW EXECUTE FUNCTION public.accounts_open_account();
"""

# An entry is closed when its transaction ends: nobody adds to what happened in the past.
ENTRY_CLOSES = """
ALTER TABLE public.accounts_entry
    ADD COLUMN made_in xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    ADD CONSTRAINT accounts_entry_fits_the_journal CHECK (
        kind <> '' AND key <> '' AND reverses_id <> id
        AND effective_on BETWEEN date '0001-01-01' AND date '9999-12-31');
"""

# A day is closed under the lock that every posting shares, so that none is still under way on it.
# It opens no more: days are closed in order, and never one that is not over yet or not begun.
CLOSED_DAYS = """
CREATE FUNCTION public.accounts_close_day() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7401, 1);
    IF EXISTS (SELECT 1 FROM public.accounts_closedday WHERE day >= NEW.day)
        OR NEW.day >= (now() AT TIME ZONE 'Europe/London')::date THEN
        RAISE EXCEPTION 'business date % is closed already, or not over', NEW.day
            USING ERRCODE = 'TN006';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER closedday_in_order BEFORE INSERT ON public.accounts_closedday
    FOR EACH ROW EXECUTE FUNCTION public.accounts_close_day();
"""

# An account that was closed takes part in nothing any more; only an empty one of a member or a
# loan can be.
CLOSED_ACCOUNTS = """
CREATE FUNCTION public.accounts_close_accounts(ids integer[], day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE closed bigint;
BEGIN
    PERFORM 1 FROM public.accounts_account WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;
    UPDATE public.accounts_account SET closed_on = day
    WHERE id = ANY (ids) AND balance = 0 AND owner_id <> 0 AND closed_on IS NULL;
    GET DIAGNOSTICS closed = ROW_COUNT;
    IF closed <> cardinality(ids) THEN
        RAISE EXCEPTION 'only open accounts of members and loans with nothing in them can be closed'
            USING ERRCODE = 'TN007';
    END IF;
END $$;
REVOKE ALL ON FUNCTION public.accounts_close_accounts(integer[], date) FROM PUBLIC;
"""

# The application seals, but what was sealed says the same for ever: a seal follows the one before
# it, and holds entries and balances of its own numbers only, of transactions that have ended.
SEALS_GO_ON = """
CREATE FUNCTION public.accounts_seal_goes_on() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE last public.accounts_seal%ROWTYPE;
BEGIN
    PERFORM pg_advisory_xact_lock(7401, 2);
    SELECT * INTO last FROM public.accounts_seal ORDER BY last_number DESC LIMIT 1;
    IF NEW.last_number <= coalesce(last.last_number, 0) OR NEW.horizon <= coalesce(last.horizon, 0)
        OR NEW.sealed_at <= last.sealed_at
        OR NEW.horizon > pg_snapshot_xmax(pg_current_snapshot())::text::bigint
        OR NEW.sealed_at > greatest(
            clock_timestamp(), last.sealed_at + interval '1 microsecond')
        OR NEW.last_number IS DISTINCT FROM
            (SELECT max(number) FROM public.accounts_sealedentry) THEN
        RAISE EXCEPTION 'a seal follows the one before it, and what has ended'
            USING ERRCODE = 'TN010';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER seal_goes_on BEFORE INSERT ON public.accounts_seal
    FOR EACH ROW EXECUTE FUNCTION public.accounts_seal_goes_on();

CREATE FUNCTION public.accounts_seal_holds_its_own() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (SELECT min(number) FROM added) <=
        (SELECT coalesce(max(last_number), 0) FROM public.accounts_seal) THEN
        RAISE EXCEPTION 'what was sealed says the same for ever' USING ERRCODE = 'TN010';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER sealedentry_is_new AFTER INSERT ON public.accounts_sealedentry
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_seal_holds_its_own();
CREATE TRIGGER daybalance_is_new AFTER INSERT ON public.accounts_daybalance
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_seal_holds_its_own();
REVOKE ALL ON FUNCTION public.accounts_seal_goes_on(),
    public.accounts_seal_holds_its_own() FROM PUBLIC;
"""

# What both ways of moving balances share: an open date, and enough in pools. What a floored account
# of several stripes holds is their sum: who spends from it holds its own lock to the end, so that
# the sum can only have grown since. Functions that the trigger calls run under its search path;
# calling them by assignment costs no query.
SHARED_CHECKS = """
CREATE FUNCTION public.accounts_check_dates(first_day date, last_day date) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE nothing text;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'a transaction with one snapshot can''t see what others close or spend'
            USING ERRCODE = 'TN011';
    END IF;
    IF last_day > (now() AT TIME ZONE 'Europe/London')::date THEN
        RAISE EXCEPTION 'business date % has not come yet', last_day USING ERRCODE = 'TN005';
    END IF;
    nothing := pg_advisory_xact_lock_shared(7401, 1);
    IF EXISTS (SELECT 1 FROM public.accounts_closedday WHERE day >= first_day) THEN
        RAISE EXCEPTION 'business date % is closed', first_day USING ERRCODE = 'TN006';
    END IF;
END $$;

CREATE FUNCTION public.accounts_check_pools(spent text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7402, hashtext(s.kind))
    FROM (SELECT kind FROM unnest(spent) AS u (kind) ORDER BY kind) AS s;
    IF EXISTS (
        SELECT 1 FROM public.accounts_account WHERE kind = ANY (spent)
        GROUP BY kind HAVING sum(balance) < 0
    ) THEN
        RAISE EXCEPTION 'there is not enough in %', spent USING ERRCODE = 'TN008';
    END IF;
END $$;
"""

# The commonest posting by far, a single transfer, without sets: half the time of the general way.
MOVE_ONE = """
CREATE FUNCTION public.accounts_move_one(
    entry bigint, debit integer, credit integer, pence bigint, day date, of_book smallint
) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    sound bigint;
    spent text[];
    nothing text;
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM public.accounts_entry
        WHERE id = entry AND effective_on = day AND made_in = pg_current_xact_id()
    ) THEN
        RAISE EXCEPTION 'a transfer names an entry that is not of its own transaction and date'
            USING ERRCODE = 'TN003';
    END IF;
    nothing := public.accounts_check_dates(day, day);

    SELECT count(*) FILTER (WHERE a.book = of_book AND a.closed_on IS NULL),
        array_agg(a.kind) FILTER (WHERE a.pooled AND (a.side > 0) = (a.id = debit))
    INTO sound, spent
    FROM (
        SELECT * FROM public.accounts_account WHERE id IN (debit, credit)
        ORDER BY id FOR NO KEY UPDATE
    ) AS a;
    IF sound <> 2 THEN
        RAISE EXCEPTION 'account % or % is unknown, closed or of another book', debit, credit
            USING ERRCODE = 'TN004';
    END IF;

    UPDATE public.accounts_account
    SET balance = balance + side * CASE WHEN id = credit THEN pence ELSE -pence END
    WHERE id IN (debit, credit);
    IF spent IS NOT NULL THEN
        nothing := public.accounts_check_pools(spent);
    END IF;
END $$;
"""

_ENTRIES = """
    SELECT count(*) FILTER (WHERE e.id IS NULL), min(p.effective_on), max(p.effective_on)
    FROM (SELECT DISTINCT entry_id, effective_on FROM posted) AS p
    LEFT JOIN public.accounts_entry AS e
        ON e.id = p.entry_id AND e.effective_on = p.effective_on
        AND e.made_in = pg_current_xact_id()
"""
_CHANGES = """
    SELECT array_agg(id), array_agg(book), array_agg(change)
    FROM (
        SELECT id, book, sum(change)::bigint AS change
        FROM (
            SELECT credit_id AS id, book, amount AS change FROM posted
            UNION ALL
            SELECT debit_id, book, -amount FROM posted
        ) AS legs
        GROUP BY id, book
        ORDER BY id
    ) AS by_account
"""

# Locks the accounts touched in id order, so that two postings can't wait for each other in a
# circle, then moves the balances; the update sees what was committed before the locks. A plan that
# was made for a few transfers is kept for the next few; for many each has its own.
MOVE_BALANCES = f"""
CREATE FUNCTION public.accounts_move_balances() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    few record;
    ids integer[];
    books smallint[];
    changes bigint[];
    strangers bigint;
    first_day date;
    last_day date;
    moved bigint;
    spent text[];
    nothing text;
BEGIN
    SELECT count(*) AS rows, min(entry_id) AS entry, min(debit_id) AS debit,
        min(credit_id) AS credit, min(amount) AS pence, min(effective_on) AS day, min(book) AS book
    INTO few FROM (SELECT * FROM posted LIMIT 1001) AS first;
    IF few.rows = 0 THEN
        RETURN NULL;
    ELSIF few.rows = 1 THEN
        nothing := public.accounts_move_one(
            few.entry, few.debit, few.credit, few.pence, few.day, few.book);
        RETURN NULL;
    ELSIF few.rows <= 1000 THEN
        SELECT * INTO strangers, first_day, last_day FROM ({_ENTRIES}) AS entries;
        SELECT * INTO ids, books, changes FROM ({_CHANGES}) AS changes;
    ELSE
        EXECUTE $q${_ENTRIES}$q$ INTO strangers, first_day, last_day;
        EXECUTE $q${_CHANGES}$q$ INTO ids, books, changes;
    END IF;
    IF strangers > 0 THEN
        RAISE EXCEPTION 'a transfer names an entry that is not of its own transaction and date'
            USING ERRCODE = 'TN003';
    END IF;
    nothing := public.accounts_check_dates(first_day, last_day);

    PERFORM 1 FROM public.accounts_account WHERE id = ANY (ids) ORDER BY id FOR NO KEY UPDATE;

    WITH moves AS (
        UPDATE public.accounts_account AS a
        SET balance = a.balance + a.side * d.change
        FROM unnest(ids, books, changes) AS d (id, book, change)
        WHERE a.id = d.id AND a.book = d.book AND a.closed_on IS NULL
        RETURNING a.kind, a.pooled AND a.side * d.change < 0 AS is_spent
    )
    SELECT count(*), array_agg(DISTINCT kind) FILTER (WHERE is_spent) INTO moved, spent FROM moves;

    IF moved <> cardinality(ids) THEN
        RAISE EXCEPTION 'account % is unknown, closed or of another book', (
            SELECT d.id FROM unnest(ids, books) AS d (id, book)
            LEFT JOIN public.accounts_account AS a
                ON a.id = d.id AND a.book = d.book AND a.closed_on IS NULL
            WHERE a.id IS NULL ORDER BY d.id LIMIT 1
        ) USING ERRCODE = 'TN004';
    END IF;
    IF spent IS NOT NULL THEN
        nothing := public.accounts_check_pools(spent);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER transfer_moves_balances AFTER INSERT ON public.accounts_transfer
    REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_move_balances();

REVOKE ALL ON FUNCTION public.accounts_refuse_change(), public.accounts_open_account(),
    public.accounts_close_day(), public.accounts_move_balances() FROM PUBLIC;
REVOKE ALL ON FUNCTION public.accounts_check_dates(date, date),
    public.accounts_check_pools(text[]),
    public.accounts_move_one(bigint, integer, integer, bigint, date, smallint) FROM PUBLIC;
"""

# One entry with a few transfers in one round trip, with the caller's rights; NULL when its key was
# used before. The plans inside are kept for the session.
POST_ENTRY = """
CREATE FUNCTION public.accounts_post_entry(
    kind text, key text, digest bytea, effective_on date, actor text, reference text,
    reverses bigint, books bigint[], debits bigint[], credits bigint[], amounts bigint[]
) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE made bigint;
BEGIN
    INSERT INTO public.accounts_entry
        (kind, key, digest, effective_on, actor, reference, reverses_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT ON CONSTRAINT accounts_entry_key_key DO NOTHING
    RETURNING id INTO made;
    IF made IS NOT NULL THEN
        INSERT INTO public.accounts_transfer
            (entry_id, book, debit_id, credit_id, amount, effective_on)
        SELECT made, t.book, t.debit, t.credit, t.amount, $4
        FROM unnest($8, $9, $10, $11) AS t (book, debit, credit, amount);
    END IF;
    RETURN made;
END $$;
"""

# Triggers and rights of the parent say nothing about a partition that is written directly: each
# has its own triggers, and the application no rights at all.
PARTITIONS = """
CREATE FUNCTION public.accounts_add_partition(name text, bounds text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TABLE public.%I PARTITION OF public.accounts_transfer %s', name, bounds);
    EXECUTE format('CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE'
        ' ON public.%I FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change()', name);
    EXECUTE format('CREATE TRIGGER transfer_moves_balances AFTER INSERT ON public.%I'
        ' REFERENCING NEW TABLE AS posted'
        ' FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_move_balances()', name);
END $$;
REVOKE ALL ON FUNCTION public.accounts_add_partition(text, text) FROM PUBLIC;

SELECT public.accounts_add_partition('accounts_transfer_' || year, format(
    'FOR VALUES FROM (%L) TO (%L)', make_date(year, 1, 1), make_date(year + 1, 1, 1)))
FROM generate_series(FIRST_YEAR, LAST_YEAR) AS year;
SELECT public.accounts_add_partition('accounts_transfer_other', 'DEFAULT');
""".replace("FIRST_YEAR", "2005").replace("LAST_YEAR", "2039")

UNDO = """
DROP TABLE public.accounts_transfer;
DROP FUNCTION public.accounts_add_partition(text, text);
DROP FUNCTION public.accounts_post_entry(
    text, text, bytea, date, text, text, bigint, bigint[], bigint[], bigint[], bigint[]);
DROP FUNCTION public.accounts_move_balances();
DROP FUNCTION public.accounts_seal_goes_on() CASCADE;
DROP FUNCTION public.accounts_seal_holds_its_own() CASCADE;
DROP FUNCTION public.accounts_move_one(bigint, integer, integer, bigint, date, smallint);
DROP FUNCTION public.accounts_check_pools(text[]);
DROP FUNCTION public.accounts_check_dates(date, date);
DROP FUNCTION public.accounts_close_accounts(integer[], date);
DROP FUNCTION public.accounts_close_day() CASCADE;
DROP FUNCTION public.accounts_open_account() CASCADE;
DROP FUNCTION public.accounts_refuse_change() CASCADE;
ALTER TABLE public.accounts_entry DROP COLUMN made_in;
"""


def write_chart(apps: Any, schema_editor: Any) -> None:
    """Write the chart of accounts, and open the platform's own accounts."""
    with schema_editor.connection.cursor() as cursor:
        for line in CHART:
            cursor.execute(
                "INSERT INTO accounts_chartline (kind, book, side, owner, floored, stripes, meaning)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    line.kind.value,
                    line.book.value,
                    line.side.value,
                    line.owner.value,
                    line.floored,
                    line.stripes,
                    line.meaning,
                ],
            )
        cursor.execute(
            "INSERT INTO accounts_account (kind, owner_id, stripe)"
            " SELECT kind, 0, generate_series(0, stripes - 1) FROM accounts_chartline"
            " WHERE owner = 'platform'"
        )


def set_rights(apps: Any, schema_editor: Any) -> None:
    """The application's role may add to the book and read it, no more."""
    book = (
        "accounts_chartline, accounts_account, accounts_entry, accounts_transfer,"
        " accounts_closedday, accounts_seal, accounts_sealedentry, accounts_daybalance"
    )
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'accounts_transfer'::regclass"
        )
        partitions = ", ".join(row[0] for row in cursor.fetchall())
    limit_application(
        schema_editor.connection,
        f"REVOKE ALL ON {book}, {partitions} FROM {{}}",
        "REVOKE DELETE ON accounts_operation FROM {}",
        f"GRANT SELECT ON {book} TO {{}}",
        "GRANT INSERT (kind, owner_id, stripe) ON accounts_account TO {}",
        "GRANT INSERT (kind, key, digest, effective_on, actor, reference, reverses_id)"
        " ON accounts_entry TO {}",
        "GRANT INSERT (entry_id, book, debit_id, credit_id, amount, effective_on)"
        " ON accounts_transfer TO {}",
        "GRANT INSERT (day, actor) ON accounts_closedday TO {}",
        "GRANT INSERT ON accounts_seal, accounts_sealedentry, accounts_daybalance TO {}",
        "GRANT EXECUTE ON FUNCTION accounts_close_accounts(integer[], date) TO {}",
        "GRANT EXECUTE ON FUNCTION accounts_post_entry(text, text, bytea, date, text, text, bigint,"
        " bigint[], bigint[], bigint[], bigint[]) TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.RunSQL(
            ENTRY_CLOSES
            + TRANSFERS
            + APPEND_ONLY
            + ACCOUNT_FROM_CHART
            + CLOSED_DAYS
            + CLOSED_ACCOUNTS
            + SEALS_GO_ON
            + SHARED_CHECKS
            + MOVE_ONE
            + MOVE_BALANCES
            + POST_ENTRY
            + PARTITIONS,
            reverse_sql=UNDO,
        ),
        migrations.RunPython(write_chart, migrations.RunPython.noop),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
