//! Figures for people: three digits and the fitting prefix.

/// Power given in watts.
pub fn watts(value: f64) -> String {
    scaled(value, "W")
}

/// Energy given in joules.
pub fn joules(value: f64) -> String {
    scaled(value, "J")
}

/// Energy given in joules, in watt-hours.
pub fn watt_hours(joules: f64) -> String {
    scaled(joules / 3600.0, "Wh")
}

/// Greenhouse gas given in grams. Tonnes are what reports are made of, so they stand for millions of grams.
pub fn mass(grams: f64) -> String {
    match grams.abs() {
        size if size >= 1e6 => format!("{}CO2e", scaled(grams / 1e6, "t")),
        _ => format!("{}CO2e", scaled(grams, "g")),
    }
}

/// A volume given in litres.
pub fn liters(value: f64) -> String {
    scaled(value, "L")
}

/// A figure and the two ends of its range, all with the prefix that fits the figure, so that they can be compared at a
/// glance. `show` makes the text of one figure.
pub fn ranged(central: f64, low: f64, high: f64, show: fn(f64) -> String) -> (String, String) {
    let shown = show(central);
    let Some((_, unit)) = shown.split_once(' ') else { return (shown, format!("{low} to {high}")) };
    let scale = if central == 0.0 {
        1.0
    } else {
        shown.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(central) / central
    };
    let bare = |value: f64| three_digits(value * scale);
    let range = format!("{} to {} {unit}", bare(low), bare(high));
    (shown, range)
}

/// A figure with the fitting prefix: three digits, and four from a thousand to ten thousand.
fn scaled(value: f64, unit: &str) -> String {
    let magnitude = value.abs();
    let (factor, prefix) = match magnitude {
        _ if magnitude >= 1e9 => (1e-9, "G"),
        _ if magnitude >= 1e6 => (1e-6, "M"),
        _ if magnitude >= 1e4 => (1e-3, "k"),
        _ if !(1e-12..1.0).contains(&magnitude) => (1.0, ""),
        _ if magnitude >= 1e-3 => (1e3, "m"),
        _ if magnitude >= 1e-6 => (1e6, "µ"),
        _ => (1e9, "n"),
    };
    format!("{} {prefix}{unit}", three_digits(value * factor))
}

fn three_digits(number: f64) -> String {
    let decimals = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 0.1 => 2,
        size if size > 0.0 => 3,
        _ => 0,
    };
    format!("{number:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        let shown = [0.0, 0.0123, 1.234, 56.78, 999.4, 4321.0, 12_345.0, 7.2e6].map(watts);
        assert_eq!(shown, ["0 W", "12.3 mW", "1.23 W", "56.8 W", "999 W", "4321 W", "12.3 kW", "7.20 MW"]);
    }

    #[test]
    fn a_tonne_is_a_million_grams() {
        assert_eq!([999.0, 25_000.0, 3.2e6].map(mass), ["999 gCO2e", "25.0 kgCO2e", "3.20 tCO2e"]);
    }

    #[test]
    fn a_range_has_the_unit_of_its_figure() {
        assert_eq!(ranged(6759.0, 2249.0, 22_100.0, mass), ("6759 gCO2e".to_owned(), "2249 to 22100 gCO2e".to_owned()));
        assert_eq!(ranged(4.86e6, 1.73e6, 13.4e6, mass), ("4.86 tCO2e".to_owned(), "1.73 to 13.4 tCO2e".to_owned()));
        assert_eq!(ranged(0.0, 0.0, 0.0, watts), ("0 W".to_owned(), "0 to 0 W".to_owned()));
    }
}
