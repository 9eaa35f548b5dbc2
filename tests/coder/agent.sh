#!/bin/sh
# A coding agent in twenty lines of shell: reads, checks, tries, writes its notes and its price.
set -e
grep -q "^# Trial" program.md
head -5 history/summary.md
git log --oneline --all | head -3
n=$(sed -n 's/^# Trial \([0-9]*\)$/\1/p' program.md | tail -1)
if [ "$n" -eq 2 ]; then
    sed 's/^def fit(/def fit_misspelt(/' train.py > new.py && mv new.py train.py
    exit 3
fi
sed "s/\"epochs\": [0-9]*/\"epochs\": ${EPOCHS:-7}/" knobs.json > new.json && mv new.json knobs.json
echo "# by the shell, trial $n" >> train.py
if [ -x check ]; then ./check && ./try --share 0.5 --seconds 5; fi
cat > NOTES.md <<END
Hypothesis: more epochs help
Expected effect: -0.3
The incumbent stops early (trial $n).
END
echo "{\"total_cost_usd\": 0.25, \"num_turns\": 4, \"version\": \"0.1-shell\"}"
