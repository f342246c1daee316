//! The description of the API, and a page to browse it: server-rendered from the description, no foreign script.

use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(info(
    title = "LLM Tuner",
    description = "Tune language models on your own data. Sign in with `POST /api/auth/login`; the session cookie authenticates every further call. Errors answer `{\"error\": {\"code\", \"message\", \"field\"?, \"request_id\"}}`. Lists are paged by an opaque cursor."
))]
struct Description;

/// The whole description: the head from here, the paths from the routes themselves.
pub fn describe(paths: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let mut api = Description::openapi();
    api.merge(paths);
    api
}

/// The description alone, for the page that shows it.
pub fn description() -> utoipa::openapi::OpenApi {
    super::parts().description
}
