// Starts GraphiQL against our own endpoint; the page's form token goes with every request.
(function () {
  "use strict";

  const place = document.getElementById("graphiql");

  const fetcher = GraphiQL.createFetcher({
    url: place.dataset.endpoint,
    headers: { "X-CSRFToken": place.dataset.token },
    fetch: function (url, options) {
      return window.fetch(url, Object.assign({ credentials: "same-origin" }, options));
    },
  });

  const welcome = [
    "# Goes to /graphql/ as whoever is signed in.",
    "# Ctrl-Space completes, Ctrl-Enter runs,",
    "# the book on the left explains.",
    "",
    "query Hello {",
    "  viewer {",
    "    name",
    "    role",
    "    balances {",
    "      cash { amount }",
    "      onOffer { amount }",
    "      matched { amount }",
    "    }",
    "  }",
    "  markets {",
    "    name",
    "    guideRate { percent }",
    "    depth {",
    "      offers",
    "      onOffer { amount }",
    "      bestRate { percent }",
    "    }",
    "  }",
    "}",
    "",
  ].join("\n");

  ReactDOM.createRoot(place).render(
    React.createElement(
      GraphiQL,
      {
        fetcher: fetcher,
        defaultQuery: welcome,
        isHeadersEditorEnabled: false,
      },
      React.createElement(GraphiQL.Logo, null, "GraphiQL")
    )
  );
})();
