"""Where everything is served."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.cache import never_cache
from drf_spectacular.views import SpectacularAPIView

from api.graphql.view import Endpoint
from api.rest.arrears import Arrears, ArrearsFile
from api.rest.health import Health
from api.rest.journal import Journal
from api.rest.loan_book import LoanBook
from api.rest.provision_fund import Fund, FundFile
from api.rest.reconciliation import Breaks, Reconciliations
from api.views import GraphiQL, our_own_only, start

urlpatterns: list[URLPattern | URLResolver] = [
    path("", never_cache(start), name="start"),
    path(
        "sign-in/",
        our_own_only(
            LoginView.as_view(template_name="sign_in.html", redirect_authenticated_user=True)
        ),
        name="sign-in",
    ),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("graphql/", never_cache(Endpoint.as_view()), name="graphql"),
    path("graphiql/", GraphiQL.as_view(), name="graphiql"),
    path("api/arrears", Arrears.as_view(), name="arrears"),
    path("api/arrears.csv", ArrearsFile.as_view(), name="arrears-file"),
    path("api/provision-fund", Fund.as_view(), name="provision-fund"),
    path("api/provision-fund.csv", FundFile.as_view(), name="provision-fund-file"),
    path("api/loan-book", LoanBook.as_view(), name="loan-book"),
    path("api/journal/", Journal.as_view(), name="journal"),
    path("api/reconciliations/", Reconciliations.as_view(), name="reconciliations"),
    path("api/breaks/", Breaks.as_view(), name="breaks"),
    path("api/schema/", SpectacularAPIView.as_view(), name="openapi"),
    path("health/", Health.as_view(), name="health"),
]
