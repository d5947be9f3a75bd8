//! Writes what the fixtures give each parser as files: `seeds folder` makes a folder for each parser in it.

use std::path::Path;
use std::{env, fs, io};

use wattline_tests::parsers::{self, fixtures};

fn main() -> io::Result<()> {
    let folder = env::args().nth(1).ok_or_else(|| io::Error::other("seeds FOLDER"))?;
    for parser in parsers::ALL {
        let folder = Path::new(&folder).join(parser.name);
        fs::create_dir_all(&folder)?;
        for (index, input) in fixtures::of(parser.name).iter().enumerate() {
            fs::write(folder.join(format!("fixture-{index:04}")), input)?;
        }
    }
    Ok(())
}
