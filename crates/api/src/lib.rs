//! The HTTP interface: routes, bodies, problems and the OpenAPI document.
