//! `POST /credentials/{id}/test`

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use tidegate_types::CredentialId;

use super::find;
use crate::actor::Caller;
use crate::body::Path;
use crate::capability::Action;
use crate::problem::Problem;
use crate::state::App;
use crate::trial::{CredentialTrial, NotTried};

/// Tries a credential: a node makes the cheapest call at its provider.
#[utoipa::path(post, path = "/credentials/{id}/test", tag = "credentials", operation_id = "credentials_test",
    params(("id" = String, Path, description = "Its id")),
    responses((status = OK, description = "What the provider said", body = CredentialTrial)))]
pub(super) async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<CredentialId>,
) -> Result<Json<CredentialTrial>, Problem> {
    let (_, stored) = find(&app, &caller, id, Action::Write).await?;
    let tried = app.tester.test(stored.value.organization_id, id).await;
    tried.map(Json).map_err(|not| {
        let (code, detail) = match not {
            NotTried::NoNode => {
                ("no_node", "No node is connected to this control plane, so nobody can try it.")
            }
            NotTried::NoAnswer => ("node_did_not_answer", "The node did not answer in time; try again."),
        };
        Problem { retry_after: Some(5), ..Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail) }
    })
}
