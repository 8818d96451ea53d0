//! Area codes of the North American numbering plan (+1) and their time zones.
//!
//! Assignments are NANPA's (nanpa.com); an area code that lies in two zones has the one in which
//! most of its subscribers live. A contact's own zone, where the list tells it, goes before.

use chrono_tz::Tz;

/// Zones and their area codes, in ascending order.
pub(super) const NANP: &[(Tz, &[u16])] = &[
    (
        Tz::America__New_York,
        &[
            201, 202, 203, 207, 212, 215, 216, 220, 223, 227, 229, 234, 239, 240, 252, 267, 272,
            276, 283, 301, 302, 304, 305, 315, 321, 324, 326, 329, 330, 332, 336, 339, 347, 351,
            352, 363, 380, 386, 401, 404, 407, 410, 412, 413, 419, 423, 434, 440, 443, 445, 470,
            472, 475, 478, 484, 508, 513, 516, 518, 540, 551, 561, 567, 570, 571, 582, 585, 603,
            606, 607, 609, 610, 614, 617, 631, 640, 645, 646, 656, 667, 678, 680, 681, 686, 689,
            703, 704, 706, 716, 717, 718, 724, 727, 728, 732, 740, 743, 754, 757, 762, 770, 771,
            772, 774, 781, 786, 802, 803, 804, 813, 814, 821, 826, 828, 835, 838, 839, 843, 845,
            848, 854, 856, 857, 859, 860, 862, 863, 864, 865, 878, 904, 908, 910, 912, 914, 917,
            919, 929, 934, 937, 941, 943, 948, 954, 959, 973, 978, 980, 984,
        ],
    ),
    (
        Tz::America__Chicago,
        &[
            205, 210, 214, 217, 218, 219, 224, 225, 228, 235, 251, 254, 256, 262, 270, 274, 281,
            308, 309, 312, 314, 316, 318, 319, 320, 325, 327, 331, 334, 337, 346, 353, 361, 364,
            402, 405, 409, 414, 417, 430, 432, 447, 448, 464, 469, 479, 501, 504, 507, 512, 515,
            531, 534, 539, 557, 563, 572, 573, 580, 601, 605, 608, 612, 615, 618, 620, 629, 630,
            636, 641, 651, 659, 660, 662, 682, 701, 708, 712, 713, 715, 726, 730, 731, 737, 763,
            769, 773, 779, 785, 806, 815, 816, 817, 830, 832, 847, 850, 870, 872, 901, 903, 913,
            918, 920, 931, 936, 938, 940, 945, 952, 956, 972, 975, 979, 985,
        ],
    ),
    (
        Tz::America__Los_Angeles,
        &[
            206, 209, 213, 253, 279, 310, 323, 341, 350, 360, 369, 408, 415, 424, 425, 442, 458,
            503, 509, 510, 530, 541, 559, 562, 564, 619, 626, 628, 650, 657, 661, 669, 702, 707,
            714, 725, 738, 747, 760, 775, 805, 818, 820, 831, 840, 858, 909, 916, 925, 949, 951,
            971,
        ],
    ),
    (
        Tz::America__Toronto,
        &[
            226, 249, 263, 289, 343, 354, 365, 367, 382, 416, 418, 437, 438, 450, 468, 514, 519,
            548, 579, 581, 613, 647, 683, 705, 742, 753, 807, 819, 873, 905, 942,
        ],
    ),
    (Tz::America__Denver, &[303, 307, 385, 406, 435, 505, 575, 719, 720, 748, 801, 915, 970, 983]),
    (Tz::America__Detroit, &[231, 248, 269, 313, 517, 586, 616, 734, 810, 906, 947, 989]),
    (Tz::America__Indiana__Indianapolis, &[260, 317, 463, 574, 765, 812, 930]),
    (Tz::America__Edmonton, &[368, 403, 587, 780, 825, 867]),
    (Tz::America__Vancouver, &[236, 250, 257, 604, 672, 778]),
    (Tz::America__Phoenix, &[480, 520, 602, 623, 928]),
    (Tz::America__Regina, &[306, 474, 639]),
    (Tz::America__Santo_Domingo, &[809, 829, 849]),
    (Tz::America__Winnipeg, &[204, 431, 584]),
    (Tz::America__Boise, &[208, 986]),
    (Tz::America__Halifax, &[782, 902]),
    (Tz::America__Jamaica, &[658, 876]),
    (Tz::America__Moncton, &[428, 506]),
    (Tz::America__Puerto_Rico, &[787, 939]),
    (Tz::America__St_Johns, &[709, 879]),
    (Tz::America__Anchorage, &[907]),
    (Tz::America__Anguilla, &[264]),
    (Tz::America__Antigua, &[268]),
    (Tz::Atlantic__Bermuda, &[441]),
    (Tz::America__Barbados, &[246]),
    (Tz::America__Cayman, &[345]),
    (Tz::America__Dominica, &[767]),
    (Tz::America__Grand_Turk, &[649]),
    (Tz::America__Grenada, &[473]),
    (Tz::America__Kentucky__Louisville, &[502]),
    (Tz::America__Lower_Princes, &[721]),
    (Tz::America__Montserrat, &[664]),
    (Tz::America__Nassau, &[242]),
    (Tz::Pacific__Guam, &[671]),
    (Tz::Pacific__Honolulu, &[808]),
    (Tz::Pacific__Pago_Pago, &[684]),
    (Tz::Pacific__Saipan, &[670]),
    (Tz::America__Port_of_Spain, &[868]),
    (Tz::America__St_Kitts, &[869]),
    (Tz::America__St_Lucia, &[758]),
    (Tz::America__St_Thomas, &[340]),
    (Tz::America__St_Vincent, &[784]),
    (Tz::America__Tortola, &[284]),
];
