//! The price of a time.

use tidegate_pricing::price_at;
use tidegate_types::resource::Price;
use tidegate_types::{PriceId, Timestamp};

fn recorded(id: u128, valid_from: i64, recorded_at: i64) -> Price {
    Price {
        id: PriceId::from_u128(id),
        valid_from: Timestamp::from_seconds(valid_from),
        recorded_at: Timestamp::from_seconds(recorded_at),
        ..crate::fixtures::price(Vec::new())
    }
}

fn chosen(prices: &[Price], now: i64) -> Option<u128> {
    price_at(prices, Timestamp::from_seconds(now)).map(|price: &Price| price.id.to_u128())
}

#[test]
fn the_newest_price_in_force_holds_whatever_the_order() {
    let mut prices = vec![recorded(1, 10, 5), recorded(2, 20, 5), recorded(3, 30, 5)];
    for _ in 0..3 {
        prices.rotate_left(1);
        assert_eq!(chosen(&prices, 9), None);
        assert_eq!(chosen(&prices, 10), Some(1));
        assert_eq!(chosen(&prices, 29), Some(2));
        assert_eq!(chosen(&prices, 1_000), Some(3));
    }
}

#[test]
fn a_correction_recorded_later_wins_from_then_on() {
    let prices = [recorded(1, 10, 5), recorded(2, 10, 50)];
    assert_eq!(chosen(&prices, 49), Some(1), "not known yet");
    assert_eq!(chosen(&prices, 50), Some(2));
}
