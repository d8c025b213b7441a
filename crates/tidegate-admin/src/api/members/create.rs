//! `POST /members`

use axum::extract::State;
use serde::Deserialize;
use tidegate_store::{Role, members, person_ties, persons};
use utoipa::ToSchema;

use super::{InvitedMember, MemberView, make_link, may_touch};
use crate::checks::{Checks, normal_email};
use crate::idempotency::Posted;
use crate::state::App;
use crate::write::{Done, Write};

/// A person to add.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberCreate {
    /// E-mail address.
    email: String,
    /// Name for people; the address when absent.
    name: Option<String>,
    /// `owner`, `admin`, `member`, `viewer` or `billing`.
    #[schema(value_type = String)]
    role: Role,
}

/// Adds a person. For somebody new, the answer holds a single-use sign-in link.
#[utoipa::path(post, path = "/members", tag = "members", operation_id = "members_create", request_body = MemberCreate,
    responses((status = CREATED, description = "The new member", body = InvitedMember)))]
pub(super) async fn create(State(app): State<App>, posted: Posted<MemberCreate>) -> Done<InvitedMember> {
    let asked = posted.body;
    let email = normal_email(&asked.email);
    let name = asked.name.unwrap_or_else(|| email.clone());
    Checks::default().email("email", &email).name("name", &name).done()?;
    super::super::needs_organization(&posted.caller)?;
    may_touch(posted.caller.actor(), asked.role)?;
    let known = persons::by_email(&app.store, &email).await?;
    let mut write = Write::begin_once(&app, &posted.caller, posted.once).await?;
    let person = persons::ensure(&mut write, app.new_id(), &email, &name).await?;
    let id = app.new_id();
    members::insert(&mut write, id, person, asked.role).await?;
    let view = MemberView::from(&members::get(&mut write, id).await?.value);
    let has_password = known.is_some_and(|person| person.password_hash.is_some());
    let sign_in_link = if !has_password && person_ties::is_only_here(&mut write, person).await? {
        Some(make_link(&app, &mut write, person).await?)
    } else {
        None
    };
    let audited = view.clone();
    write.issued("member.create", id.to_string(), &audited, InvitedMember { view, sign_in_link }).await
}
