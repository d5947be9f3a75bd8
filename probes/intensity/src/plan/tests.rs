use std::path::Path;

use super::*;

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap()
}

fn wrong_key(text: &str) -> &'static str {
    Plan::new(&read(text), Some(&Secret::new("given"))).map_or_else(|error| error.key, |_plan| "none")
}

#[test]
fn every_provider_opens_with_what_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key");
    let key = format!("key_file = {key:?}\n");
    for (text, zone) in [
        (format!("provider = \"electricity_maps\"\nzone = \"DE\"\n{key}"), "DE"),
        ("provider = \"electricity_maps\"\nzone = \"DE\"\nendpoint = \"http://elephant.carbon:8080\"".to_owned(), "DE"),
        (format!("provider = \"watttime\"\nzone = \"CAISO_NORTH\"\nusername = \"me\"\n{key}"), "CAISO_NORTH"),
        ("provider = \"uk\"".to_owned(), "GB"),
        ("provider = \"uk\"\nzone = \"sw1a\"".to_owned(), "GB-SW1A"),
        ("provider = \"uk\"\nzone = \"13\"".to_owned(), "GB-13"),
        ("provider = \"energy_charts\"\nzone = \"DE\"".to_owned(), "de"),
        (format!("provider = \"entsoe\"\nzone = \"10Y1001A1001A82H\"\n{key}"), "10Y1001A1001A82H"),
        ("provider = \"file\"\npath = \"/etc/wattline/grid.csv\"\nzone = \"plant\"".to_owned(), "plant"),
        ("provider = \"constant\"\ngrams = 0.0".to_owned(), "configured"),
    ] {
        let plan = Plan::new(&read(&text), None).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(plan.zone.as_str(), zone, "{text}");
    }
}

#[test]
fn what_is_wrong_is_named_by_its_key() {
    for (text, key) in [
        ("provider = \"uk\"\nrefresh = \"59s\"", "refresh"),
        ("provider = \"uk\"\nrefresh = \"2days\"", "refresh"),
        ("provider = \"uk\"\ntimeout = \"0s\"", "timeout"),
        ("provider = \"uk\"\nmax_age = \"3days\"", "max_age"),
        ("provider = \"uk\"\nzone = \"DE\"", "zone"),
        ("provider = \"uk\"\nkey_env = \"KEY\"", "key_env"),
        ("provider = \"uk\"\ngrams = 3.0", "grams"),
        ("provider = \"uk\"\nendpoint = \"carbon.local\"", "endpoint"),
        ("provider = \"uk\"\nca_file = \"/nowhere/ca.pem\"", "ca_file"),
        ("provider = \"uk\"\nproxy = \"::\"", "proxy"),
        ("provider = \"energy_charts\"", "zone"),
        ("provider = \"energy_charts\"\nzone = \"a b\"", "zone"),
        ("provider = \"energy_charts\"\nzone = \"de\"\nsignals = [\"co2_moer\"]", "signals"),
        ("provider = \"electricity_maps\"\nkey_env = \"KEY\"", "zone"),
        ("provider = \"electricity_maps\"\nzone = \"DE\"", "key_file"),
        ("provider = \"electricity_maps\"\nzone = \"DE\"\nkey_file = \"/k\"\nkey_env = \"K\"", "key_env"),
        (
            "provider = \"electricity_maps\"\nzone = \"DE\"\nkey_env = \"K\"\nendpoint = \"http://far.example\"",
            "endpoint",
        ),
        ("provider = \"watttime\"\nzone = \"X\"\nkey_env = \"K\"", "username"),
        ("provider = \"watttime\"\nzone = \"X\"\nkey_env = \"K\"\nusername = \"a:b\"", "username"),
        ("provider = \"watttime\"\nzone = \"X\"\nkey_env = \"K\"\nusername = \"a\"\nsignals = []", "signals"),
        ("provider = \"watttime\"\nzone = \"X\"\nusername = \"a\"", "key_file"),
        ("provider = \"entsoe\"\nzone = \"DE\"\nkey_env = \"K\"", "zone"),
        ("provider = \"file\"", "path"),
        ("provider = \"file\"\npath = \"/a/grid.xml\"", "path"),
        ("provider = \"file\"\npath = \"/a/grid.csv\"\nendpoint = \"https://a\"", "endpoint"),
        ("provider = \"constant\"", "grams"),
        ("provider = \"constant\"\ngrams = -1.0", "grams"),
        ("provider = \"constant\"\ngrams = 1000000.0", "grams"),
        ("provider = \"constant\"\ngrams = nan", "grams"),
    ] {
        assert_eq!(wrong_key(text), key, "{text}");
    }
}

#[test]
fn a_variable_that_the_environment_does_not_hold_is_named() {
    let config = read("provider = \"electricity_maps\"\nzone = \"DE\"\nkey_env = \"EM_KEY\"");
    for given in [None, Some(Secret::new(" \n"))] {
        let error = Plan::new(&config, given.as_ref()).unwrap_err().to_string();
        assert!(error.contains("EM_KEY"), "{error}");
    }
    let plan = Plan::new(&config, Some(&Secret::new(" s3cret-key\n"))).unwrap();
    assert_eq!(plan.key, Key::Given(Secret::new("s3cret-key")));
    assert!(!format!("{plan:?}").contains("s3cret"));
}

#[test]
fn a_file_without_a_certificate_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path: &Path = &directory.path().join("ca.pem");
    std::fs::write(path, "no certificate").unwrap();
    let config = Config { ca_file: Some(path.to_owned()), ..Config::of(Kind::Uk) };
    let error = Plan::new(&config, None).unwrap_err();
    assert!(error.problem.contains("holds no certificate"), "{error}");
}
