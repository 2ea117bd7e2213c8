// Starts Swagger UI. A file of its own: the page's policy runs no inline script.
const place = document.getElementById("api");
SwaggerUIBundle({
  url: place.dataset.description,
  domNode: place,
  deepLinking: true,
  validatorUrl: null, // would send the description to another host
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
});
