// Swagger UI on our own OpenAPI description. Requests carry the CSRF token, so "Try it out" works for a signed-in person.
const root = document.getElementById("docs");

window.SwaggerUIBundle({
  url: root.dataset.openapiUrl,
  domNode: root,
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  requestInterceptor(request) {
    request.headers["X-CSRFToken"] = root.dataset.csrfToken;
    return request;
  },
});
