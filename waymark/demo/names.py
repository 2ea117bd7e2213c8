"""Names of the demo's customers and people, and their comments: invented; any likeness is chance."""

PLACES = (  # noqa: SIM905  a list of words reads better without a hundred quotes
    "Aldermoor Ambleton Arkwater Ashvale Barrowmere Bellhollow Birchfen Blackmarsh Bramwick Brackwater Brindlewood "
    "Calderhythe Candlemere Cedarholt Cloverdene Coldharrow Copperdale Corvenna Cranleaf Dapplemere Deepholm Dovecrest "
    "Drumlanner Dunmarrow Eastermoor Edgewater Elderfjord Emberley Fallowmere Farrowdale Fennimore Fernhollow Finchley-Dorn "
    "Foxglade Galehurst Glimmerford Gorsedale Graymantle Greenhithe Hallowmere Harrowgate-Lund Hazelbrook Heronsby "
    "Hollowell Ivarsund Ironmere Juniper-Vale Kelderwick Kestrelby Kingsfallow Lanternhill Larkmere Laurelsund Lindenfold "
    "Lowmarch Mapleward Marrowby Meadowlark-Finn Millbeck Mistlethorn Mooringham Mosswater Netherby Nightingate Norrvik "
    "Oakenfell Oldcastle-Reyes Orchardson Ottersund Palegrove Pebblewick Pinemarch Plumstead-Orr Quarrydale Quillhaven "
    "Ravensund Redfern-Holt Ridgemoor Rookhollow Rosendahl-Pike Rushwater Saltmarsh Sandrigg Seldenmoor Silverholm "
    "Skylarn Sorrelby Sparrowhithe Stonewade Strandvik Swallowmere Tamberley Thistledown Thornwater Tidemarsh Tollerton "
    "Umberfield Valewick Velloway Wakefern-Ross Waterlode Wendlemere Westerhythe Whinmoor Willowgarth Winterbourne-Sato "
    "Wrenfield Yarrowdale"
).split()

TRADES = (
    "Logistics",
    "Freight",
    "Foods",
    "Dental Group",
    "Robotics",
    "Textiles",
    "Energy",
    "Packaging",
    "Clinics",
    "Instruments",
    "Rail",
    "Bakeries",
    "Paper",
    "Marine",
    "Optics",
    "Timber",
    "Chemicals",
    "Insurance",
    "Furniture",
    "Couriers",
    "Pharma",
    "Ceramics",
)

GIVEN = (  # noqa: SIM905  a list of words reads better without a hundred quotes
    "Ada Aisha Alba Amara Anders Anouk Arjun Astrid Ayumi Bashir Beatriz Bruno Callum Carmen Chidi Clara Dario Deniz Edith "
    "Elena Emil Esther Farah Felix Freya Gaspard Greta Hana Henrik Ibrahim Idris Ingrid Isla Ivo Jasper Joana Kaito Katya "
    "Kofi Lars Leila Lucia Magnus Mei Milan Mina Naveen Niamh Nils Noor Olga Omar Petra Priya Rafael Rosa Samir Saoirse "
    "Selma Stefan Sunita Tariq Thea Tomas Uma Vera Viktor Wanjiru Yara Yusuf Zofia"
).split()

FAMILY = (  # noqa: SIM905  a list of words reads better without a hundred quotes
    "Abernethy Adeyemi Almqvist Ansah Barros Bellweather Bergstrand Brankovic Calloway Castellan Chaudhry Dalgaard Danjuma "
    "Delacroix Drummond Eriksen Falkner Farouk Ferrante Fujimori Gallagher Ghoshal Grunewald Haddad Halloran Hartmann "
    "Iversen Jankowski Kamau Kaplan Karlsson Kowalczyk Laurent Lindholm Maalouf Marchetti Mbeki Mensah Moreau Nakagawa "
    "Nordin Novak Obuya Okeke Oyelaran Palmgren Pereira Petrov Quintero Rahimi Raman Rossetti Sandoval Santoro Shirazi "
    "Silvano Szabo Takahara Tanaka Thorsen Valderrama Vance Varga Wexford Whitlock Yamane Zielinski"
).split()

COMMENTS = {
    "promoter": (
        "Our Monday meeting runs on it.",
        "Saved us a hire this quarter.",
        "The team asked for more seats by themselves.",
        "Support answers before I have finished my coffee.",
    ),
    "passive": (
        "Good, once it was set up.",
        "Does the job; exports could be faster.",
        "Solid. We use a third of it, I think.",
    ),
    "detractor": (
        "Too many clicks to get one number.",
        "We still keep the old spreadsheet beside it.",
        "The sync broke twice this month.",
    ),
}
