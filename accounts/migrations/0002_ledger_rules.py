"""The rules that the database keeps, whoever writes: see docs/ledger.md.

Trigger functions run with the owner's rights and a fixed search path, and know no switch that
makes them look away. Refusals use the SQLSTATE class TN, which the posting gate translates.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations

from accounts.core.chart import CHART
from accounts.services.rights import limit_application

APPEND_ONLY = """
CREATE FUNCTION public.accounts_refuse_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: the book is append-only', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'TN001';
END $$;

CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.accounts_entry
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON public.accounts_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
CREATE TRIGGER account_stays BEFORE DELETE OR TRUNCATE ON public.accounts_account
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_refuse_change();
"""

ACCOUNT_FROM_CHART = """
CREATE FUNCTION public.accounts_open_account() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE line public.accounts_chartline%ROWTYPE;
BEGIN
    SELECT * INTO line FROM public.accounts_chartline WHERE kind = NEW.kind;
    IF NOT FOUND OR NEW.stripe NOT BETWEEN 0 AND line.stripes - 1
        OR (NEW.owner_id = 0) <> (line.owner = 'platform') THEN
        RAISE EXCEPTION 'no such account in the chart: % of owner %, stripe %',
            NEW.kind, NEW.owner_id, NEW.stripe USING ERRCODE = 'TN002';
    END IF;
    NEW.book := line.book;
    NEW.side := line.side;
    NEW.floor := CASE WHEN line.floored THEN 0 END;
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
    ADD COLUMN made_in xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id();
"""

# Locks the accounts touched in id order, so that two postings can't wait for each other in a
# circle, then moves the balances; the second statement sees what was committed before the locks.
MOVE_BALANCES = """
CREATE FUNCTION public.accounts_move_balances() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    ids bigint[];
    books smallint[];
    changes bigint[];
    moved bigint;
    entries bigint;
    known bigint;
BEGIN
    SELECT array_agg(id ORDER BY id), array_agg(book ORDER BY id), array_agg(change ORDER BY id)
    INTO ids, books, changes
    FROM (
        SELECT id, book, sum(change)::bigint AS change
        FROM (
            SELECT credit_id AS id, book, amount AS change FROM posted
            UNION ALL
            SELECT debit_id, book, -amount FROM posted
        ) AS legs
        GROUP BY id, book
    ) AS by_account;

    IF ids IS NULL THEN
        RETURN NULL;
    END IF;

    SELECT count(DISTINCT p.entry_id), count(DISTINCT e.id) INTO entries, known
    FROM (SELECT DISTINCT entry_id FROM posted) AS p
    LEFT JOIN public.accounts_entry AS e
        ON e.id = p.entry_id AND e.made_in = pg_catalog.pg_current_xact_id();
    IF entries <> known THEN
        RAISE EXCEPTION 'a transfer names an entry that is not of its own transaction'
            USING ERRCODE = 'TN003';
    END IF;

    PERFORM 1 FROM public.accounts_account WHERE id = ANY (ids) ORDER BY id FOR UPDATE;

    UPDATE public.accounts_account AS a
    SET balance = a.balance + a.side * d.change
    FROM unnest(ids, books, changes) AS d (id, book, change)
    WHERE a.id = d.id AND a.book = d.book AND a.closed_on IS NULL;
    GET DIAGNOSTICS moved = ROW_COUNT;

    IF moved <> cardinality(ids) THEN
        RAISE EXCEPTION 'account % is unknown, closed or of another book', (
            SELECT d.id FROM unnest(ids, books) AS d (id, book)
            LEFT JOIN public.accounts_account AS a
                ON a.id = d.id AND a.book = d.book AND a.closed_on IS NULL
            WHERE a.id IS NULL ORDER BY d.id LIMIT 1
        ) USING ERRCODE = 'TN004';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER transfer_moves_balances AFTER INSERT ON public.accounts_transfer
    REFERENCING NEW TABLE AS posted
    FOR EACH STATEMENT EXECUTE FUNCTION public.accounts_move_balances();
"""

LAYOUT = """
CREATE INDEX accounts_transfer_entry ON public.accounts_transfer USING brin (entry_id)
    WITH (pages_per_range = 16);
ALTER TABLE public.accounts_account SET (fillfactor = 70);
"""

UNDO = """
DROP INDEX public.accounts_transfer_entry;
DROP TRIGGER transfer_moves_balances ON public.accounts_transfer;
DROP TRIGGER account_from_chart ON public.accounts_account;
DROP TRIGGER account_stays ON public.accounts_account;
DROP TRIGGER transfer_append_only ON public.accounts_transfer;
DROP TRIGGER entry_append_only ON public.accounts_entry;
DROP FUNCTION public.accounts_move_balances();
DROP FUNCTION public.accounts_open_account();
DROP FUNCTION public.accounts_refuse_change();
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
    limit_application(
        schema_editor.connection,
        "REVOKE ALL ON accounts_chartline, accounts_account, accounts_entry, accounts_transfer"
        " FROM {}",
        "REVOKE DELETE ON accounts_operation FROM {}",
        "GRANT SELECT ON accounts_chartline, accounts_account, accounts_entry, accounts_transfer"
        " TO {}",
        "GRANT INSERT (kind, owner_id, stripe) ON accounts_account TO {}",
        "GRANT INSERT (kind, key, digest, effective_on, actor, reference) ON accounts_entry TO {}",
        "GRANT INSERT (entry_id, book, debit_id, credit_id, amount) ON accounts_transfer TO {}",
    )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.RunSQL(
            APPEND_ONLY + ACCOUNT_FROM_CHART + ENTRY_CLOSES + MOVE_BALANCES + LAYOUT,
            reverse_sql=UNDO,
        ),
        migrations.RunPython(write_chart, migrations.RunPython.noop),
        migrations.RunPython(set_rights, migrations.RunPython.noop),
    ]
