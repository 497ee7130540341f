# Prints this machine's package sources, whatever their format, one a line:
#   <uri> <suite> <signed-by or -> <component> [component...]
# usage: awk -f apt-source.awk FILE...   (names ending in .list: one-line format; .sources: deb822)

function flush_stanza(    i, j, u, s) {
  if (types ~ /(^| )deb( |$)/ && enabled != "no") {
    u = split(uris, uri, " ")
    s = split(suites, suite, " ")
    for (i = 1; i <= u; i++)
      for (j = 1; j <= s; j++) print uri[i], suite[j], (signed == "" ? "-" : signed), components
  }
  types = uris = suites = components = signed = enabled = field = ""
}

FNR == 1 { flush_stanza(); deb822 = FILENAME ~ /\.sources$/ }
/^[ \t]*#/ { next }

!deb822 {
  if ($1 != "deb") next
  line = $0
  sub(/#.*/, "", line)
  signed = ""
  if (match(line, /\[[^]]*\]/)) {
    options = substr(line, RSTART + 1, RLENGTH - 2)
    line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
    n = split(options, option, " ")
    for (i = 1; i <= n; i++) if (option[i] ~ /^signed-by=\//) signed = substr(option[i], 11)
  }
  n = split(line, word, " ")
  rest = word[4]
  for (i = 5; i <= n; i++) rest = rest " " word[i]
  print word[2], word[3], (signed == "" ? "-" : signed), rest
  signed = ""
  next
}

/^[ \t]*$/ { flush_stanza(); next }
{
  value = $0
  if (value ~ /^[^ \t]/) {
    field = tolower(value)
    sub(/:.*/, "", field)
    sub(/^[^:]*:/, "", value)
  }
  gsub(/^[ \t]+|[ \t]+$/, "", value)
  if (field == "types") types = types " " value
  else if (field == "uris") uris = uris " " value
  else if (field == "suites") suites = suites " " value
  else if (field == "components") components = components (components == "" ? "" : " ") value
  else if (field == "enabled") enabled = tolower(value)
  else if (field == "signed-by" && value ~ /^\//) signed = value  # a key written into the file itself is not carried over
}
END { flush_stanza() }
