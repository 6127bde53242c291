# Opens a package of `tuman export --format csv --folder FOLDER` with R, without further packages.
#
#     Rscript open_with_r.R FOLDER

folder <- commandArgs(trailingOnly = TRUE)[1]
region <- read.csv(file.path(folder, "releases", "region.csv"))
region$date <- as.Date(region$date)
margin <- sqrt(sum(region$margin^2))
cat(sprintf("region: %d +- %.4f device-days on %d days\n", sum(region$value), margin, nrow(region)))

# Parquet and Arrow: arrow::read_parquet("releases/places_4.parquet"), arrow::read_feather("releases/places_4.arrow").
# Cells on a map: sf::st_read("releases/places_4.geojson").
places <- read.csv(file.path(folder, "releases", "places_4.csv"))
print(head(places[order(-places$value), c("date", "cell", "value", "margin")], 5))
