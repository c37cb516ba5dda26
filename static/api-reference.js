// Shows the OpenAPI schema of the API. Requests from this page use the session, so they need Django's CSRF token.
const place = document.getElementById("api-reference");
window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: -1,
  tryItOutEnabled: false,
  requestInterceptor(request) {
    if (request.method !== "GET") request.headers["X-CSRFToken"] = place.dataset.csrf;
    return request;
  },
});
