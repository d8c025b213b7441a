//! A request's way, in one screen.
//!
//! `run` is the path of a call; each stage takes what the one before made. `serve` finds the
//! operation and turns the outcome into an answer in the caller's dialect.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header, request};
use http_body::Body;
use tidegate_policy::{CallFacts, plan};

use crate::account::{Account, Arrival};
use crate::admit::admit;
use crate::answer::{answered, refused};
use crate::authenticate::authenticate;
use crate::body::AnswerBody;
use crate::byok::Brought;
use crate::connection::Underway;
use crate::endpoint::{Endpoint, find};
use crate::face::Face;
use crate::failover::{Answer, Content, Planned, call_with_failover};
use crate::gateway::Gateway;
use crate::half_open;
use crate::known_limits::KnownLimits;
use crate::read_call::read_call;
use crate::refusal::Refused;
use crate::{ask, cache, client_address, job, large_head, listing, own_key, probe, unserved};

/// Answers one request.
pub(crate) async fn serve<B>(
    gateway: &Arc<Gateway>,
    peer: IpAddr,
    underway: Underway,
    request: Request<B>,
) -> Response<AnswerBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    let at = gateway.now();
    let peer = client_address::of(&gateway.settings.trusted_proxies, peer, request.headers());
    let arrival = Arrival { call_id: gateway.new_id(at), at, clock: Instant::now(), peer };
    let (head, body) = request.into_parts();
    let too_large = large_head::is_one(&head);
    let endpoint = if too_large { Endpoint::LargeHead } else { find(&head.method, head.uri.path()) };
    let mut response = match endpoint {
        // In a place of its own until it is answered: a connection that waits or streams is small.
        Endpoint::Call(face) => Box::pin(call(gateway, arrival, face, underway, &head, body)).await,
        Endpoint::Job => {
            let mut known = KnownLimits::default();
            let found = Box::pin(job::status(gateway, arrival, &head, body, &mut known)).await;
            let voice = crate::endpoint::voice(head.uri.path(), &head.headers);
            crate::answer::small(gateway, arrival, voice, underway, found, known)
        }
        other => Box::pin(own(gateway, arrival, underway, &head, other)).await,
    };
    let leaves = head.version < Version::HTTP_2 && gateway.closes.load(Ordering::Relaxed);
    // With both a transfer encoding and a content length, somebody before us may have seen another
    // request begin: nothing more is read from such a connection.
    if leaves || head.headers.contains_key(header::TRANSFER_ENCODING) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Everything but calls: what the gateway answers itself.
async fn own(
    gateway: &Arc<Gateway>,
    arrival: Arrival,
    underway: Underway,
    head: &request::Parts,
    endpoint: Endpoint<'_>,
) -> Response<AnswerBody> {
    let mut known = KnownLimits::default();
    let found = match endpoint {
        Endpoint::Models => listing::models(gateway, arrival, head, &mut known),
        Endpoint::Model(name) => listing::model(gateway, arrival, head, name, &mut known),
        Endpoint::ModelEndpoints(name) => listing::endpoints(gateway, arrival, head, name, &mut known),
        Endpoint::Config(specification) => listing::config(gateway, arrival, head, specification, &mut known),
        Endpoint::Key => own_key::describe(gateway, arrival, head, &mut known).await,
        Endpoint::Query(query) => ask::answer(gateway, arrival, head, query, &mut known).await,
        Endpoint::Live => Ok(probe::live()),
        Endpoint::Ready => Ok(probe::ready(gateway)),
        Endpoint::LargeHead => Err(large_head::refusal()),
        Endpoint::WrongMethod(allowed) => Err(match unserved::upgrade(&head.headers) {
            Some(what) => unserved::refusal(what),
            None => probe::wrong_method(allowed),
        }),
        Endpoint::Unknown | Endpoint::Call(_) | Endpoint::Job => {
            Err(unserved::find(head.uri.path()).map_or_else(probe::unknown, unserved::refusal))
        }
    };
    let voice = crate::endpoint::voice(head.uri.path(), &head.headers);
    crate::answer::small(gateway, arrival, voice, underway, found, known)
}

/// A call of a model: its path, then its answer or its refusal.
async fn call<B>(
    gateway: &Arc<Gateway>,
    arrival: Arrival,
    face: Face<'_>,
    underway: Underway,
    head: &request::Parts,
    body: B,
) -> Response<AnswerBody>
where
    B: Body<Data = Bytes> + Unpin,
{
    let account = Account::open(gateway, arrival, &face);
    match run(gateway, &account, &face, head, body).await {
        Ok(answer) => answered(gateway, &account, answer, underway),
        Err(refusal) => refused(gateway, &account, &refusal, underway),
    }
}

async fn run<B>(
    gateway: &Arc<Gateway>,
    account: &Arc<Account>,
    face: &Face<'_>,
    head: &request::Parts,
    body: B,
) -> Result<Answer, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    let Arrival { at, peer, .. } = account.arrival;
    let caller = authenticate(gateway, &head.headers, at)?;
    account.note_caller(&caller);
    account.note_trace(&head.headers);
    caller.admit(at, peer)?;
    let mut call = read_call(&gateway.settings, &caller, face, &head.headers, body).await?;
    account.note_call(&call);
    let brought = Brought::open(gateway, &caller.view, &call)?;
    // The windows of budgets go by the time of their counters.
    let draw = call.draw(account.arrival.call_id);
    let mut plan = {
        let facts = CallFacts { credentials: &brought.credentials, ..call.facts(face, &*gateway.health) };
        plan(&caller.view, &facts, gateway.limiter.now(), draw)
            .inspect_err(|refusal| account.note_no_plan(refusal, &facts))?
    };
    brought.check(plan.policy.allow_request_credentials)?;
    // Where policies or the route say so, as if the request had asked for it.
    call.body.gateway.caching |= plan.policy.caching.prompt_markers;
    let (caller, call, headers, brought) = (&caller, &call, &head.headers, &brought);
    let seat = &cache::seat(gateway, caller, call, face, &plan, headers)?;
    if let Some(slot) = seat.slot() {
        account.note_plan(&plan);
        let planned = Planned { gateway, account, caller, call, plan: &plan, headers, brought, seat };
        if let Some(answer) = Box::pin(cache::answered(&planned, slot)).await? {
            return Ok(answer);
        }
    }
    half_open::probe(gateway, &mut plan).await;
    account.note_plan(&plan);
    let planned = Planned { gateway, account, caller, call, plan: &plan, headers, brought, seat };
    let mut permit = admit(gateway, account, caller.view.organization_id(), call, &plan).await?;
    let mut answer = call_with_failover(&planned, &mut permit).await?;
    if let (true, Content::Whole(beginning)) = (face.waits, &answer.content) {
        answer.content = Content::Job(beginning.clone(), Box::new(caller.view.clone()));
    }
    Ok(answer)
}
