use std::collections::BTreeSet;

use wattline_core::UsdPerHour;

use super::super::instance::ROWS;
use super::super::price::{PRICES, TABLE};
use super::super::{attributions, price};
use crate::grid::table::check;

#[test]
fn every_price_parses_and_is_above_zero() {
    check::<7>(TABLE, PRICES.len());
    for row in PRICES.values() {
        assert!(row.usd_per_hour > 0.0 && row.usd_per_hour < 1000.0, "{row:?}");
        let date: Vec<&str> = row.date.split('-').collect();
        assert!(
            matches!(date[..], [year, month, day] if year.len() == 4 && month.len() == 2 && day.len() == 2),
            "{row:?}"
        );
    }
    let regions: BTreeSet<&str> = PRICES.values().map(|row| row.region).collect();
    assert_eq!(regions, BTreeSet::from(["us-east-1", "us-gov-east-1", "us-gov-west-1"]));
    assert!(attributions().any(|text| text.contains("Karpenter")));
}

/// Types that EC2 describes and nobody prices in the regions of the table; a family means all of its sizes.
const WITHOUT_PRICE: [&str; 17] = [
    "dl2q.24xlarge",
    "mac-",
    "mac1.",
    "mac2",
    "p5e.48xlarge",
    "p6e-gb200.36xlarge",
    "r9g.",
    "r9gd.",
    "t8i.medium",
    "t8i.micro",
    "t8i.nano",
    "t8i.small",
    "trn2.3xlarge",
    "trn2.48xlarge",
    "trn2u.48xlarge",
    "trn3.48xlarge",
    "x8aedz.",
];

#[test]
fn only_known_types_have_a_price_without_a_row_or_a_row_without_a_price() {
    let priced: BTreeSet<&str> = PRICES.values().map(|row| row.name).collect();
    let described: BTreeSet<&str> = ROWS.keys().copied().collect();
    // One type is priced in GovCloud and described nowhere.
    assert_eq!(priced.difference(&described).copied().collect::<Vec<_>>(), ["i3p.16xlarge"]);
    let without_price: Vec<&str> = described.difference(&priced).copied().collect();
    let is_known = |name: &&str| WITHOUT_PRICE.iter().any(|known| name.starts_with(known));
    assert!(without_price.iter().all(is_known), "{without_price:?}");
    for known in WITHOUT_PRICE {
        assert!(without_price.iter().any(|name| name.starts_with(known)), "{known} has a price now");
    }
}

/// AWS's published prices of long standing: aws.amazon.com/ec2/pricing/on-demand, Linux, US East (N. Virginia).
#[test]
fn prices_are_as_aws_publishes_them() {
    for (name, usd) in
        [("m5.large", 0.096), ("c5.xlarge", 0.17), ("t3.micro", 0.0104), ("g5.xlarge", 1.006), ("r5.4xlarge", 1.008)]
    {
        assert_eq!(price("aws", "us-east-1", name).unwrap().usd_per_hour, UsdPerHour::new(usd), "{name}");
    }
}

#[test]
fn a_larger_size_does_not_cost_less() {
    for (smaller, larger) in [("m5.large", "m5.xlarge"), ("p5.4xlarge", "p5.48xlarge"), ("g6f.large", "g6.xlarge")] {
        let of = |name| price("aws", "us-east-1", name).unwrap().usd_per_hour;
        assert!(of(smaller) < of(larger), "{smaller}");
    }
}

#[test]
fn another_regions_price_is_named_and_flagged() {
    let exact = price("aws", "US-East-1b", "M5.large").unwrap();
    assert_eq!((exact.region.as_str(), exact.estimated), ("us-east-1", false));
    assert_eq!(exact.date.unwrap().as_str(), "2026-07-20");
    let gov = price("aws", "us-gov-west-1", "m5.large").unwrap();
    assert!(!gov.estimated && gov.usd_per_hour > exact.usd_per_hour);
    let other = price("aws", "eu-central-1", "m5.large").unwrap();
    assert_eq!((other.region.as_str(), other.estimated, other.usd_per_hour), ("us-east-1", true, exact.usd_per_hour));
    assert!(price("aws", "", "m5.large").unwrap().estimated);
}

#[test]
fn an_unknown_type_or_provider_has_no_price() {
    assert!(price("aws", "us-east-1", "m5.mega").is_none());
    assert!(price("aws", "us-east-1", "ml.m5.large").is_none());
    assert!(price("gcp", "us-east-1", "m5.large").is_none());
    assert!(price("aws", "us-east-1", "").is_none());
}
