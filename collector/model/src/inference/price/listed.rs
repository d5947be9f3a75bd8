//! The published price list as a table in the program, of which only the models are decoded that a name may mean.
//!
//! What a model costs is for the crate `genai-prices` to say, which gets these few models and their sellers as if they
//! were the whole list. Which seller is meant it says of all of them, each with one model of any name.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::UNIX_EPOCH;

use genai_prices::{Calculator, Error, ErrorKind, PriceCalculation, PriceRequest, Usage};

/// A seller in each line, and behind a tab each of its models: texts of which its names have one in them, with tabs
/// between, and the model as the crate has it.
const TABLE: &str = include_str!("../../../data/token_prices.txt");

/// A seller that is none: what stands behind its name in front of a model is one.
const PROXY: &str = "litellm";

/// What the list does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// The seller, or any that a model would tell.
    Seller,
    /// The model at this seller.
    Model,
    /// What was asked for makes no sense to the crate.
    Sense,
}

/// A part of the list: a seller with the models that a name may mean.
#[derive(Debug)]
pub(super) struct Part {
    calculator: Calculator,
    seller: Option<String>,
}

impl Part {
    /// The models that `model` may mean at `seller`, or at the one whom the model tells.
    pub(super) fn find(seller: Option<&str>, model: &str) -> Result<Self, Missing> {
        let (usage, sellers) = (Usage::new(), SELLERS.as_ref().ok_or(Missing::Sense)?);
        let mut request = PriceRequest::new(model, &usage).with_timestamp(UNIX_EPOCH);
        if let Some(seller) = seller {
            request = request.with_provider_id(seller);
        }
        let found = sellers.calculate(&request).map_err(|error| Missing::of(&error))?.provider_id;
        let own = SECTIONS.iter().find(|section| section.id == found).ok_or(Missing::Sense)?;
        let names = Names::of(model);
        let mut has_models = false;
        let mut list = String::from("[");
        // Whom a proxy names is found again among all.
        let is_proxy = seller.is_some_and(|seller| seller.trim().eq_ignore_ascii_case(PROXY));
        for section in SECTIONS.iter() {
            let is_asked = section.id == own.id || own.stand_ins.contains(&section.id);
            if is_asked || is_proxy {
                let models = section.models(&names).take_while(|_| is_asked).collect::<Vec<_>>();
                has_models |= !models.is_empty();
                section.write(&mut list, &models);
            }
        }
        list.push(']');
        if !has_models {
            return Err(Missing::Model);
        }
        let calculator = Calculator::from_json(list).map_err(|error| Missing::of(&error))?;
        let seller = if is_proxy { seller.map(str::to_owned) } else { Some(found) };
        Ok(Self { calculator, seller })
    }

    /// What the crate says.
    pub(super) fn ask(&self, request: PriceRequest<'_>) -> Result<PriceCalculation, Missing> {
        let request = match &self.seller {
            Some(seller) => request.with_provider_id(seller),
            None => request,
        };
        self.calculator.calculate(&request).map_err(|error| Missing::of(&error))
    }
}

impl Missing {
    fn of(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::ProviderNotFound => Self::Seller,
            ErrorKind::ModelNotFound => Self::Model,
            _ => Self::Sense,
        }
    }
}

/// The lines of a seller.
#[derive(Debug)]
struct Section {
    id: &'static str,
    /// The seller as the crate has it, less the brace at the end.
    head: &'static str,
    /// The ids of those whose models it sells, too.
    stand_ins: Vec<&'static str>,
    models: &'static str,
}

static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
    let mut sections = Vec::new();
    let mut rest = TABLE;
    while let Some((line, behind)) = rest.split_once('\n') {
        // Lines of models begin with a tab, and end where one does not.
        let end = behind.split_inclusive('\n').take_while(|line| line.starts_with('\t')).map(str::len).sum();
        let (models, next) = behind.split_at_checked(end).unwrap_or((behind, ""));
        sections.extend(Section::parse(line, models));
        rest = next;
    }
    sections
});

/// All sellers, each with a model of any name and no prices.
static SELLERS: LazyLock<Option<Calculator>> = LazyLock::new(|| {
    let mut list = String::from("[");
    for section in SECTIONS.iter() {
        section.write(&mut list, &[r#"{"id":"any","match":{"contains":""},"prices":{}}"#]);
    }
    list.push(']');
    Calculator::from_json(list).ok()
});

impl Section {
    fn parse(line: &'static str, models: &'static str) -> Option<Self> {
        let head = line.strip_prefix('{')?.strip_suffix('}')?;
        let (_, behind) = head.split_once(r#""id":""#)?;
        let (id, _) = behind.split_once('"')?;
        let stand_ins = head.split_once(r#""fallback_model_providers":["#).and_then(|(_, ids)| ids.split_once(']'));
        let stand_ins = stand_ins.map(|(ids, _)| ids.split(',').map(|id| id.trim_matches('"')).collect());
        Some(Self { id, head, stand_ins: stand_ins.unwrap_or_default(), models })
    }

    /// The models that may bear one of these names.
    fn models(&self, names: &Names<'_>) -> impl Iterator<Item = &'static str> {
        self.models.lines().filter_map(|line| {
            let (texts, model) = line.strip_prefix('\t')?.rsplit_once('\t')?;
            names.may_be(texts).then_some(model)
        })
    }

    fn write(&self, list: &mut String, models: &[&str]) {
        list.push_str(if list.len() > 1 { ",{" } else { "{" });
        list.push_str(self.head);
        list.push_str(",\"models\":[");
        list.push_str(&models.join(","));
        list.push_str("]}");
    }
}

/// A name in the forms in which the crate looks for it: in small letters, and with hyphens in its dates.
struct Names<'a> {
    small: Cow<'a, str>,
    dated: Option<String>,
}

impl<'a> Names<'a> {
    fn of(name: &'a str) -> Self {
        let small = if name.chars().all(|c| c.is_ascii() && !c.is_ascii_uppercase()) {
            Cow::Borrowed(name)
        } else {
            Cow::Owned(name.to_lowercase())
        };
        let dated = dated(&small);
        Self { small, dated }
    }

    /// Whether one of the texts, between tabs, is in one of the names.
    fn may_be(&self, texts: &str) -> bool {
        texts
            .split('\t')
            .any(|text| self.small.contains(text) || self.dated.as_ref().is_some_and(|dated| dated.contains(text)))
    }
}

/// The name with hyphens in each date of eight digits behind a hyphen; `None` where there is no such date. The crate
/// looks closer at what is a date, and at what follows it; a name that it does not look for finds nothing.
fn dated(name: &str) -> Option<String> {
    const DIGITS: usize = 8;
    let mut dated = String::new();
    let mut parts = name.split('-');
    dated.push_str(parts.next()?);
    let mut has_date = false;
    for part in parts {
        dated.push('-');
        let digits: Vec<(usize, char)> = part.char_indices().take_while(|(_, c)| c.is_numeric()).take(DIGITS).collect();
        if let [.., (month, _), _, (day, _), _] = digits.as_slice()
            && digits.len() == DIGITS
            && let (Some(year), Some(months), Some(rest)) =
                (part.get(..*month), part.get(*month..*day), part.get(*day..))
        {
            has_date = true;
            // Digits of other scripts are written as those of ours.
            for (separator, digits) in [("", year), ("-", months), ("-", rest)] {
                dated.push_str(separator);
                dated.push_str(digits);
            }
        } else {
            dated.push_str(part);
        }
    }
    has_date.then_some(dated)
}
