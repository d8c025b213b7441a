//! Usage and calls, from what nodes shipped.

use http::StatusCode;

use crate::harness::World;

#[tokio::test]
async fn without_parameters_usage_is_thirty_days_a_row_each() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    let report = world.get(&tenant.owner, "/usage").await.expect(StatusCode::OK);
    assert_eq!(report.rows().len(), 30);
    let row = &report.rows()[29];
    for field in ["request_count", "input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens"]
    {
        assert_eq!(row[field], 0, "{field}");
    }
    assert_eq!(row["total_cost"], "0");
    let first = world.get(&tenant.owner, "/usage?limit=20").await.expect(StatusCode::OK);
    let rest =
        world.get(&tenant.owner, &format!("/usage?limit=20&cursor={}", first.str("/next_cursor"))).await;
    assert_eq!((first.rows().len(), rest.rows().len()), (20, 10));
    assert!(rest.body["next_cursor"].is_null());
}

#[tokio::test]
async fn usage_is_grouped_and_filtered_or_says_why_not() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    for query in [
        "group_by=key",
        "group_by=team,hour",
        "group_by=model,provider,day",
        "team_id=team_00000000000000000000000001",
    ] {
        world.get(&tenant.owner, &format!("/usage?{query}")).await.expect(StatusCode::OK);
    }
    for (query, field) in [
        ("group_by=weather", "group_by"),
        ("from=yesterday", "from"),
        ("from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("team_id=key_1", "team_id"),
    ] {
        let refused =
            world.get(&tenant.owner, &format!("/usage?{query}")).await.refused(400, "invalid_request");
        assert_eq!(refused.fields(), [field], "{}", refused.text);
    }
}

#[tokio::test]
async fn calls_are_listed_and_an_unknown_one_is_not_found() {
    let world = World::start().await;
    let tenant = world.tenant("acme").await;
    assert!(world.get(&tenant.owner, "/calls?status=200").await.expect(StatusCode::OK).rows().is_empty());
    world.get(&tenant.owner, "/calls/gen_00000000000000000000000001").await.refused(404, "not_found");
}
