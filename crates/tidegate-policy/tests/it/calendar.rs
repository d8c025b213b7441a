//! Windows against a table of another implementation, and their laws.

use proptest::prelude::*;
use tidegate_types::Timestamp;
use tidegate_types::window::{Calendar, Every, WeekStart, Window, WindowSpec};

const TABLE: &str = include_str!("golden/windows.txt");

fn calendar(zone: &str, week: &str) -> Calendar {
    let week = match week {
        "monday" => WeekStart::Monday,
        "sunday" => WeekStart::Sunday,
        other => {
            assert_eq!(other, "saturday");
            WeekStart::Saturday
        }
    };
    Calendar::new(zone, week).unwrap()
}

fn every(name: &str) -> WindowSpec {
    let known = [
        ("minute", Every::Minute),
        ("hour", Every::Hour),
        ("day", Every::Day),
        ("week", Every::Week),
        ("month", Every::Month),
        ("quarter", Every::Quarter),
        ("year", Every::Year),
    ];
    let every = known.into_iter().find(|(text, _)| *text == name).unwrap().1;
    WindowSpec::Recurring { every }
}

#[test]
fn windows_are_those_of_the_table_through_daylight_saving_leap_days_and_month_ends() {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#'));
    for row in rows {
        let fields: Vec<&str> = row.split(' ').collect();
        let at = |place: usize| fields[place].parse::<Timestamp>().unwrap();
        let found = calendar(fields[0], fields[1]).window(every(fields[2]), at(3)).unwrap();
        assert_eq!(found, Window { start: at(4), end: at(5) }, "{row}");
        let minutes = found.end.millis_since(found.start) / 60_000;
        assert_eq!(minutes.to_string(), fields[6], "{row}");
    }
}

proptest! {
    #[test]
    fn every_instant_is_in_one_window_and_windows_meet(
        micros in 0i64..4_102_444_800_000_000,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
            "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"]),
        week in prop::sample::select(vec!["monday", "sunday", "saturday"]),
        every in prop::sample::select(vec![Every::Minute, Every::Hour, Every::Day, Every::Week, Every::Month,
            Every::Quarter, Every::Year]),
    ) {
        let (calendar, spec) = (calendar(zone, week), WindowSpec::Recurring { every });
        let at = Timestamp::from_micros(micros);
        let window = calendar.window(spec, at).unwrap();
        prop_assert!(window.start <= at && at < window.end);
        prop_assert_eq!(calendar.window(spec, window.start), Some(window));
        let last = Timestamp::from_micros(window.end.as_micros() - 1);
        prop_assert_eq!(calendar.window(spec, last), Some(window));
        let next = calendar.window(spec, window.end).unwrap();
        prop_assert_eq!(next.start, window.end);
    }
}
