# SPDX-License-Identifier: Apache-2.0
# The plot of docs/bench.md, from the lines of table.awk.
set terminal svg size 860,430 font 'sans-serif,13' background '#ffffff'
set output output
set datafile separator "\t"
set logscale y
set yrange [0.005:3]
set ytics ('1/100' 0.01, '1/20' 0.05, '1/8' 0.125, '1/4' 0.25, '1/2' 0.5, '1' 1, '2' 2)
set grid ytics lc rgb '#dddddd'
set ylabel 'tinyvmm''s share: the shorter the better'
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9 noborder
set boxwidth 0.9
set xtics rotate by -25 scale 0
set key top left horizontal
set border 3
plot 'plot' using 1:xtic(4) title 'of QEMU''s (the better one)' lc rgb '#3366aa', \
	'' using 2 title 'of kvmtool''s' lc rgb '#88bb66', \
	'' using 0:3:(0.42) with xerrorbars pt 0 lw 2 lc rgb '#cc3333' title 'target (of QEMU''s)', \
	1 with lines lc rgb '#555555' notitle
