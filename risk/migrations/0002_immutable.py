"""What risk has said or approved is never changed afterwards, whoever writes: see docs/risk.md.

Of a model version and a rate table only state and approval may move, and an approver stays.
Refusals use SQLSTATE TN201.
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
CREATE TRIGGER model_version_stays BEFORE DELETE OR TRUNCATE ON public.risk_modelversion
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
CREATE TRIGGER rate_table_stays BEFORE DELETE OR TRUNCATE ON public.risk_ratetable
    FOR EACH STATEMENT EXECUTE FUNCTION public.risk_refuse_change();
"""

APPROVAL_ONLY = """
CREATE FUNCTION public.risk_approval_only() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE movable text[] := ARRAY['state', 'approver', 'approved_on'];
BEGIN
    IF to_jsonb(OLD) - movable IS DISTINCT FROM to_jsonb(NEW) - movable THEN
        RAISE EXCEPTION 'UPDATE of % is refused: its content is immutable', TG_TABLE_NAME
            USING ERRCODE = 'TN201';
    END IF;
    IF OLD.approver IS NOT NULL AND (OLD.approver, OLD.approved_on)
        IS DISTINCT FROM (NEW.approver, NEW.approved_on) THEN
        RAISE EXCEPTION 'UPDATE of % is refused: it was approved', TG_TABLE_NAME
            USING ERRCODE = 'TN201';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER model_version_approval_only BEFORE UPDATE ON public.risk_modelversion
    FOR EACH ROW EXECUTE FUNCTION public.risk_approval_only();
CREATE TRIGGER rate_table_approval_only BEFORE UPDATE ON public.risk_ratetable
    FOR EACH ROW EXECUTE FUNCTION public.risk_approval_only();
"""

# Rows are added while a rate table is a draft, never afterwards.
ROWS_OF_DRAFT = """
CREATE FUNCTION public.risk_rows_of_draft() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM public.risk_ratetable WHERE id = NEW.rate_table_id AND state = 'draft'
    ) THEN
        RAISE EXCEPTION 'INSERT into % is refused: the rate table is no draft', TG_TABLE_NAME
            USING ERRCODE = 'TN201';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER rate_table_row_of_draft BEFORE INSERT ON public.risk_ratetablerow
    FOR EACH ROW EXECUTE FUNCTION public.risk_rows_of_draft();
"""

UNDO = """
DROP TRIGGER rate_table_row_of_draft ON public.risk_ratetablerow;
DROP TRIGGER rate_table_approval_only ON public.risk_ratetable;
DROP TRIGGER model_version_approval_only ON public.risk_modelversion;
DROP TRIGGER rate_table_stays ON public.risk_ratetable;
DROP TRIGGER model_version_stays ON public.risk_modelversion;
DROP TRIGGER data_set_immutable ON public.risk_dataset;
DROP TRIGGER past_application_immutable ON public.risk_pastapplication;
DROP TRIGGER rate_table_row_immutable ON public.risk_ratetablerow;
DROP TRIGGER assessment_immutable ON public.risk_assessment;
DROP FUNCTION public.risk_rows_of_draft();
DROP FUNCTION public.risk_approval_only();
DROP FUNCTION public.risk_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("risk", "0001_initial")]

    operations = [migrations.RunSQL(REFUSE + APPROVAL_ONLY + ROWS_OF_DRAFT, reverse_sql=UNDO)]
