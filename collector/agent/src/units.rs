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

/// Three significant figures with the fitting prefix.
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
    let number = value * factor;
    let decimals = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size > 0.0 => 2,
        _ => 0,
    };
    format!("{number:.decimals$} {prefix}{unit}")
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
}
