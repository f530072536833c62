"""What risk has said or approved is never changed afterwards, whoever writes: see docs/risk.md.

Of a model version, a rate table and an alarm only the state may move, as the tables of moves
allow, from the first one on; who validated, approved or closed it is written once, together with
that move. Handles of people are ASCII, so that none looks like another. Refusals use SQLSTATE
TN201.
"""

from __future__ import annotations

from django.db import migrations

REFUSE = """
CREATE FUNCTION public.risk_refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% of % is refused: its content is immutable', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'TN201';
END $$;

CREATE TRIGGER assessment_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON public.risk_assessment
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER rate_table_row_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.risk_ratetablerow
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER past_application_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.risk_pastapplication
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER data_set_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON public.risk_dataset
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER model_move_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON public.risk_modelmove
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER shadow_score_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.risk_shadowscore
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER monitoring_run_immutable
    BEFORE UPDATE OR DELETE OR TRUNCATE ON public.risk_monitoringrun
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER alarm_stays BEFORE DELETE OR TRUNCATE ON public.risk_alarm
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER model_version_stays BEFORE DELETE OR TRUNCATE ON public.risk_modelversion
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER rate_table_stays BEFORE DELETE OR TRUNCATE ON public.risk_ratetable
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
"""

# The first argument holds the columns that are written once, the others the allowed moves.
STATE_ONLY = """
CREATE FUNCTION public.risk_state_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    once text[] := string_to_array(TG_ARGV[0], ' ');
    before jsonb := to_jsonb(OLD);
    after jsonb := to_jsonb(NEW);
    field text;
BEGIN
    IF before - once - 'state' IS DISTINCT FROM after - once - 'state' THEN
        RAISE EXCEPTION 'UPDATE of % is refused: its content is immutable', TG_TABLE_NAME
            USING ERRCODE = 'TN201';
    END IF;
    FOREACH field IN ARRAY once LOOP
        IF before -> field <> 'null' AND before -> field IS DISTINCT FROM after -> field THEN
            RAISE EXCEPTION 'UPDATE of % is refused: % was written, and is immutable',
                TG_TABLE_NAME, field USING ERRCODE = 'TN201';
        END IF;
    END LOOP;
    IF OLD.state = NEW.state AND before IS DISTINCT FROM after THEN
        RAISE EXCEPTION 'UPDATE of % is refused: what isn''t moved is immutable', TG_TABLE_NAME
            USING ERRCODE = 'TN201';
    END IF;
    IF NEW.state IN ('draft', 'validated') AND after ->> 'approver' IS NOT NULL THEN
        RAISE EXCEPTION 'UPDATE of % is refused: what is % has no approver yet',
            TG_TABLE_NAME, NEW.state USING ERRCODE = 'TN201';
    END IF;
    IF OLD.state <> NEW.state AND NOT OLD.state || '>' || NEW.state = ANY (TG_ARGV) THEN
        RAISE EXCEPTION 'UPDATE of % is refused: what is % can''t become %',
            TG_TABLE_NAME, OLD.state, NEW.state USING ERRCODE = 'TN201';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER model_version_state_only BEFORE UPDATE ON public.risk_modelversion
    FOR EACH ROW EXECUTE FUNCTION public.risk_state_only(
        'validator validated_on report report_digest approver approved_on',
        'draft>validated', 'validated>approved', 'approved>challenger', 'approved>champion',
        'approved>retired', 'challenger>champion', 'challenger>retired', 'champion>retired');
CREATE TRIGGER rate_table_state_only BEFORE UPDATE ON public.risk_ratetable
    FOR EACH ROW EXECUTE FUNCTION public.risk_state_only(
        'approver approved_on', 'draft>approved', 'approved>retired');
CREATE TRIGGER alarm_state_only BEFORE UPDATE ON public.risk_alarm
    FOR EACH ROW EXECUTE FUNCTION public.risk_state_only(
        'closed_by closed_on closing_word', 'open>closed');
"""

# Rows are added while a rate table is a draft, never afterwards.
ROWS_OF_DRAFT = """
CREATE FUNCTION public.risk_rows_of_draft() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Held until the end, so that it isn't approved meanwhile without this row.
    PERFORM 1 FROM public.risk_ratetable
        WHERE id = NEW.rate_table_id AND state = 'draft' FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'INSERT into % is refused: the rate table is no draft', TG_TABLE_NAME
            USING ERRCODE = 'TN201';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER rate_table_row_of_draft BEFORE INSERT ON public.risk_ratetablerow
    FOR EACH ROW EXECUTE FUNCTION public.risk_rows_of_draft();
"""

# The first argument is the first state, the others the columns that are nobody's yet.
FIRST_STATE = """
CREATE FUNCTION public.risk_first_state() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given jsonb := to_jsonb(NEW);
    field text;
BEGIN
    IF NEW.state <> TG_ARGV[0] THEN
        RAISE EXCEPTION 'INSERT into % is refused: it begins as %', TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'TN201';
    END IF;
    FOREACH field IN ARRAY TG_ARGV[1:] LOOP
        IF given -> field <> 'null' THEN
            RAISE EXCEPTION 'INSERT into % is refused: % is written later', TG_TABLE_NAME, field
                USING ERRCODE = 'TN201';
        END IF;
    END LOOP;
    RETURN NEW;
END $$;

CREATE TRIGGER model_version_first_state BEFORE INSERT ON public.risk_modelversion
    FOR EACH ROW EXECUTE FUNCTION public.risk_first_state(
        'draft', 'validator', 'validated_on', 'report', 'report_digest', 'approver', 'approved_on');
CREATE TRIGGER rate_table_first_state BEFORE INSERT ON public.risk_ratetable
    FOR EACH ROW EXECUTE FUNCTION public.risk_first_state('draft', 'approver', 'approved_on');
CREATE TRIGGER alarm_first_state BEFORE INSERT ON public.risk_alarm
    FOR EACH ROW EXECUTE FUNCTION public.risk_first_state(
        'open', 'closed_by', 'closed_on', 'closing_word');
"""

# As services/people.py has it. The arguments are the columns that hold handles.
PEOPLE = """
CREATE FUNCTION public.risk_people_named() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    given jsonb := to_jsonb(NEW);
    field text;
BEGIN
    FOREACH field IN ARRAY TG_ARGV LOOP
        IF given ->> field !~ '^[!-~]([ -~]*[!-~])?$' COLLATE "C" THEN
            RAISE EXCEPTION '% of % is refused: % is not the handle of a person',
                TG_OP, TG_TABLE_NAME, field USING ERRCODE = 'TN201';
        END IF;
    END LOOP;
    RETURN NEW;
END $$;

CREATE TRIGGER model_version_people BEFORE INSERT OR UPDATE ON public.risk_modelversion
    FOR EACH ROW EXECUTE FUNCTION public.risk_people_named('author', 'validator', 'approver');
CREATE TRIGGER rate_table_people BEFORE INSERT OR UPDATE ON public.risk_ratetable
    FOR EACH ROW EXECUTE FUNCTION public.risk_people_named('author', 'approver');
CREATE TRIGGER model_move_people BEFORE INSERT ON public.risk_modelmove
    FOR EACH ROW EXECUTE FUNCTION public.risk_people_named('by');
CREATE TRIGGER alarm_people BEFORE INSERT OR UPDATE ON public.risk_alarm
    FOR EACH ROW EXECUTE FUNCTION public.risk_people_named('closed_by');
"""

UNDO = """
DROP TRIGGER alarm_people ON public.risk_alarm;
DROP TRIGGER model_move_people ON public.risk_modelmove;
DROP TRIGGER rate_table_people ON public.risk_ratetable;
DROP TRIGGER model_version_people ON public.risk_modelversion;
DROP TRIGGER alarm_first_state ON public.risk_alarm;
DROP TRIGGER rate_table_first_state ON public.risk_ratetable;
DROP TRIGGER model_version_first_state ON public.risk_modelversion;
DROP TRIGGER rate_table_row_of_draft ON public.risk_ratetablerow;
DROP TRIGGER alarm_state_only ON public.risk_alarm;
DROP TRIGGER rate_table_state_only ON public.risk_ratetable;
DROP TRIGGER model_version_state_only ON public.risk_modelversion;
DROP TRIGGER rate_table_stays ON public.risk_ratetable;
DROP TRIGGER model_version_stays ON public.risk_modelversion;
DROP TRIGGER alarm_stays ON public.risk_alarm;
DROP TRIGGER monitoring_run_immutable ON public.risk_monitoringrun;
DROP TRIGGER shadow_score_immutable ON public.risk_shadowscore;
DROP TRIGGER model_move_immutable ON public.risk_modelmove;
DROP TRIGGER data_set_immutable ON public.risk_dataset;
DROP TRIGGER past_application_immutable ON public.risk_pastapplication;
DROP TRIGGER rate_table_row_immutable ON public.risk_ratetablerow;
DROP TRIGGER assessment_immutable ON public.risk_assessment;
DROP FUNCTION public.risk_people_named();
DROP FUNCTION public.risk_first_state();
DROP FUNCTION public.risk_rows_of_draft();
DROP FUNCTION public.risk_state_only();
DROP FUNCTION public.risk_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0001_initial")]

    operations = [
        migrations.RunSQL(
            REFUSE + STATE_ONLY + ROWS_OF_DRAFT + FIRST_STATE + PEOPLE, reverse_sql=UNDO
        )
    ]
