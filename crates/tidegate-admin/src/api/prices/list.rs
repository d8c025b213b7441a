//! `GET /prices`

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tidegate_store::offerings;
use tidegate_types::{OfferingId, OrganizationId};
use utoipa::IntoParams;

use super::PriceView;
use crate::actor::Caller;
use crate::body::Query;
use crate::page::{Page, PageQuery};
use crate::problem::Problem;
use crate::state::App;

/// Which prices.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PriceQuery {
    /// Only those of this offering.
    #[param(value_type = Option<String>)]
    offering_id: Option<OfferingId>,
    /// Offerings on the page, 1 to 1000; 50 when absent.
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists prices, offering by offering; a page holds every price of its offerings.
#[utoipa::path(get, path = "/prices", tag = "prices", operation_id = "prices_list", params(PriceQuery),
    responses((status = OK, description = "A page of prices", body = Page<PriceView>)))]
pub(super) async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<PriceQuery>,
) -> Result<Json<Page<PriceView>>, Problem> {
    let page = PageQuery::new(asked.limit, asked.cursor);
    let (after, limit) = (page.after()?, page.limit()?);
    let mut tx = app.store.begin(caller.actor()).await?;
    if let Some(id) = asked.offering_id {
        let offering = offerings::get(&mut tx, OrganizationId::SYSTEM, id).await?.value;
        let data = offering.prices.iter().map(|price| PriceView::of(id, price)).collect();
        return Ok(Json(Page { data, has_more: false, next_cursor: None }));
    }
    let rows = offerings::list(&mut tx, OrganizationId::SYSTEM, after, limit).await?;
    let prices = |row: &tidegate_store::Stored<tidegate_types::resource::Offering>| {
        let id = row.value.id;
        row.value.prices.iter().map(|price| PriceView::of(id, price)).collect::<Vec<_>>()
    };
    let grouped = Page::from_rows(&rows.data, rows.has_more, |row| row.value.id, prices);
    Ok(Json(Page {
        data: grouped.data.into_iter().flatten().collect(),
        has_more: grouped.has_more,
        next_cursor: grouped.next_cursor,
    }))
}
