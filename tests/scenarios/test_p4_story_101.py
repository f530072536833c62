import sys, os, time, re, traceback, pathlib
from tests.scenarios.servicing_story import Plan, Story, audited
from marketplace.core.collecting import SandboxRates
import pytest
pytestmark = pytest.mark.usefixtures("committed_db")
def test_try():
    t=time.time()
    def each(day):
        os.environ['DD']=str(day)
        try: audited(day)
        except AssertionError as e:
            exec(pathlib.Path('/tmp/lead/P4/dump.py').read_text(), globals())
            for n in set(re.findall(r"loan (\d+)", str(e))): dump(int(n))
            raise
        finally:
            if day.day%5==0: print(day, round(time.time()-t,1), file=sys.stderr, flush=True)
    E=os.environ.get
    s=Story(Plan(loans=int(E("L",12)),days=int(E("D",60)),busy=float(E("B",.1)),seed=int(E("S",6)),rates=SandboxRates(fails=int(E("F",300000)),bounces=int(E("BO",300000)))))
    try: s.live(each)
    finally: print(dict(s.done), dict(s.refused), s.seen, file=sys.stderr, flush=True)
