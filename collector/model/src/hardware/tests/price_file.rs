use proptest::prelude::*;
use wattline_core::UsdPerHour;

use super::super::{PriceFile, PriceFileError};

const HEADER: &str = "region,instance_type,usd_per_hour\n";

fn refused(rows: &str) -> String {
    PriceFile::parse(&format!("{HEADER}{rows}")).unwrap_err().to_string()
}

#[test]
fn a_region_goes_before_all_regions() {
    let text = format!("# ours, 2026\n\n{HEADER}eu-west-1, m5.large , 0.08\r\n*,M5.large,0.09\n*,p5.48xlarge,40\n");
    let file = PriceFile::parse(&text).unwrap();
    assert_eq!((file.len(), file.is_empty()), (3, false));
    let of = |region, name| file.price(region, name).map(|price| (price.usd_per_hour.get(), price.estimated));
    assert_eq!(of("EU-west-1", "m5.large"), Some((0.08, false)));
    assert_eq!(of("us-east-1", "m5.LARGE"), Some((0.09, false)));
    assert_eq!(of("", "p5.48xlarge"), Some((40.0, false)));
    assert_eq!(of("us-east-1", "m5.xlarge"), None);
    assert_eq!(file.price("eu-west-1", "m5.large").unwrap().source.as_str(), "configured");
}

#[test]
fn a_refusal_names_the_line_the_column_and_what_was_expected() {
    for (rows, message) in [
        ("us-east-1,m5.large\n", "line 2, column 19: expected a comma and the price, found ``"),
        ("us-east-1\n", "line 2, column 10: expected a comma and the instance type, found ``"),
        ("us-east-1,m5.large,1,2\n", "line 2, column 22: expected the end of the line, found `2`"),
        (",m5.large,1\n", "line 2, column 1: expected a region such as us-east-1, or * for all, found ``"),
        ("*,m5 large,1\n", "line 2, column 3: expected an instance type such as m5.large, found `m5 large`"),
        ("*,m5.large, 1$\n", "line 2, column 13: expected US dollars for an hour between 0 and 10000, found `1$`"),
        ("*,m5.large,-1\n", "line 2, column 12: expected US dollars for an hour between 0 and 10000, found `-1`"),
        ("*,m5.large,NaN\n", "line 2, column 12: expected US dollars for an hour between 0 and 10000, found `NaN`"),
        ("*,a.b,1\n#\n*,A.b,2\n", "line 4, column 1: the price of a.b in * stands on line 2 already"),
    ] {
        assert_eq!(refused(rows), message);
    }
    let error = PriceFile::parse("region,type,usd_per_hour\n").unwrap_err();
    let PriceFileError::Unexpected { line: 1, column: 8, .. } = error else { panic!("{error}") };
}

#[test]
fn an_empty_file_is_no_prices_and_an_endless_one_is_refused() {
    assert!(PriceFile::parse("").unwrap().is_empty());
    let endless = format!("{HEADER}{}", "\n".repeat(200_000));
    assert_eq!(PriceFile::parse(&endless).unwrap_err(), PriceFileError::TooLong { line: 100_001 });
}

proptest! {
    #[test]
    fn no_text_at_all_ends_the_program(text in "\\PC{0,80}", rows in "[a-z0-9.,*#\n -]{0,120}") {
        for text in [text, format!("{HEADER}{rows}")] {
            if let Ok(file) = PriceFile::parse(&text) {
                prop_assert!(file.len() <= text.lines().count());
            }
        }
    }

    #[test]
    fn what_was_written_is_read(
        rows in prop::collection::btree_map("[a-z]{2}-[a-z]{1,9}-[1-9]", (("[a-z][0-9][a-z]{0,2}\\.[1-9]{0,2}x?large"), 0.0_f64..1000.0), 0..20),
    ) {
        let lines: Vec<String> = rows.iter().map(|(region, (name, usd))| format!("{region},{name},{usd}")).collect();
        let file = PriceFile::parse(&format!("{HEADER}{}", lines.join("
"))).unwrap();
        prop_assert_eq!(file.len(), rows.len());
        for (region, (name, usd)) in &rows {
            prop_assert_eq!(file.price(region, name).unwrap().usd_per_hour, UsdPerHour::new(*usd));
        }
    }
}
