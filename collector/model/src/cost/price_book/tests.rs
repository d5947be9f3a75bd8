use proptest::prelude::*;

use super::*;

const CALLED: Timestamp = Timestamp::from_unix_nanos(1_788_220_800_000_000_000); // 2026-09-01

fn book(text: &str) -> PriceBook {
    PriceBook::parse(text).unwrap()
}

fn row(keys: &str, input: f64) -> String {
    format!("[[price]]\n{keys}\ninput = {input:?}\noutput = 1\n")
}

/// The price of input of a model at a provider; zero where no row fits.
fn input(book: &PriceBook, provider: &str, model: &str) -> f64 {
    book.find(provider, model, None, CALLED).map_or(0.0, |rates| rates.input)
}

fn refused(text: &str) -> String {
    PriceBook::parse(text).unwrap_err().to_string()
}

#[test]
fn a_file_without_rows_prices_nothing() {
    assert!(book("").is_empty());
    assert_eq!(book("# nothing yet\n").find("openai", "gpt-5", None, CALLED), None);
}

#[test]
fn what_is_left_out_costs_as_much_as_what_it_is_a_kind_of() {
    let all = book("[[price]]\nmodel = 'm'\ninput = 3\noutput = 15.5\ncache_write = 4.0\n");
    let rates = all.find("anyone", " M ", None, CALLED).unwrap();
    assert_eq!((rates.input, rates.cache_read, rates.cache_write), (3.0, 3.0, 4.0));
    assert_eq!((rates.cache_write_1h, rates.output, rates.reasoning), (4.0, 15.5, 15.5));
}

#[test]
#[expect(clippy::float_cmp, reason = "prices are taken over as they are written")]
fn the_row_that_says_most_wins() {
    let book = book(
        &[
            row("model = '*'", 1.0),
            row("model = 'claude-*'", 2.0),
            row("model = 'claude-*'\nprovider = 'aws.bedrock'", 3.0),
            row("model = 'claude-sonnet'", 4.0),
            row("model = 'claude-sonnet'\nfrom = 2026-08-01", 5.0),
            row("model = 'claude-sonnet'\nfrom = 2026-09-02", 6.0),
            row("model = '*claude-*'\ntier = 'flex'", 7.0),
        ]
        .concat(),
    );
    assert_eq!(book.len(), 7);
    assert_eq!(input(&book, "openai", "gpt-5"), 1.0);
    assert_eq!(input(&book, "anthropic", "claude-haiku"), 2.0);
    assert_eq!(input(&book, "bedrock", "claude-haiku"), 3.0, "by another name of the same provider");
    assert_eq!(input(&book, "anthropic", "claude-sonnet"), 5.0, "the price of the day");
    let flex = |tier| book.find("aws", "us.anthropic.claude-sonnet", Some(tier), CALLED).map(|rates| rates.input);
    assert_eq!((flex("FLEX"), flex("priority")), (Some(7.0), None), "a tier without a row is not in the book");
    let arn = "arn:aws:bedrock:us-east-1:1:inference-profile/claude-sonnet";
    assert_eq!(input(&book, "aws", arn), 5.0);
}

#[test]
fn a_fault_is_told_with_its_place_and_what_is_expected() {
    let start = "[[price]]\nmodel = 'm'\noutput = 1\n";
    assert_eq!(
        refused(&format!("{start}input = -3\n")),
        "line 4, column 9: -3: expected USD for a million tokens, 0 to 1000000"
    );
    assert_eq!(
        refused(&format!("{start}inputs = 3\n")),
        "line 4, column 1: unknown field `inputs`, expected one of `model`, `provider`, `tier`, `from`, `input`, \
         `output`, `cache_read`, `cache_write`, `cache_write_1h`; did you mean input?"
    );
    assert_eq!(
        refused(&format!("{start}input = 3\nfrom = 2026-10-01T10:00:00Z\n")),
        "line 5, column 8: 2026-10-01T10:00:00Z: expected a date such as 2026-10-01, from 1970 on"
    );
    assert_eq!(refused(&format!("{start}input = 3\nprovider = ' '\n")), "line 5, column 12: provider: expected a name");
    assert!(refused(start).starts_with("line 1, column 1: missing field `input`"), "{}", refused(start));
    assert!(refused("[[price]]\nmodel = \n").starts_with("line 2, column 9: "), "{}", refused("[[price]]\nmodel = \n"));
    let twice = [row("model = 'm'", 1.0), row("model = 'M'\ntier = 'standard'", 2.0)].concat();
    assert_eq!(
        refused(&twice),
        "line 5, column 1: the row at line 1 is for the same: expected another model, provider, tier or from"
    );
}

#[test]
fn a_star_stands_for_any_characters_and_for_none() {
    for (pattern, name) in [("a*", "a"), ("a*", "abc"), ("*c", "abc"), ("a*b*c", "abc"), ("*", ""), ("a*b*b", "abb")] {
        assert!(glob(pattern, name), "{pattern} {name}");
    }
    for (pattern, name) in
        [("a", "ab"), ("a*", "ba"), ("a*ba", "aba ".trim_end()), ("a*b*b", "ab"), ("", "a"), ("ab*ba", "aba")]
    {
        let expected = (pattern, name) == ("a*ba", "aba");
        assert_eq!(glob(pattern, name), expected, "{pattern} {name}");
    }
}

proptest! {
    #[test]
    fn a_pattern_made_of_a_name_fits_it(parts in prop::collection::vec("[a-c]{0,3}", 1..5), holes in prop::collection::vec("[a-c]{0,3}", 4)) {
        let pattern = parts.join("*");
        let mut name = String::new();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                name.push_str(&holes[index - 1]);
            }
            name.push_str(part);
        }
        prop_assert!(glob(&pattern, &name), "{} {}", pattern, name);
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,64}", lines in prop::collection::vec("(model|input|output|from|price|\\[\\[price\\]\\]|=| |'x'|-?[0-9.]{1,4}|\n){0,12}", 0..4)) {
        let _refused = PriceBook::parse(&text);
        let _refused = PriceBook::parse(&lines.concat());
    }
}
