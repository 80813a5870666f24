-- For the PDF: block quotes that follow each other are one margin note, and every equation carries its TeX source as
-- alternative text.
function Blocks(blocks)
  for i = #blocks, 2, -1 do
    if blocks[i].t == "BlockQuote" and blocks[i - 1].t == "BlockQuote" then
      blocks[i - 1].content:extend(blocks[i].content)
      blocks:remove(i)
    end
  end
  return blocks
end

function Math(equation)
  local typst = pandoc.write(pandoc.Pandoc({pandoc.Plain({equation})}), "typst"):gsub("%s+$", "")
  local source = equation.text:gsub("\\", "\\\\"):gsub('"', '\\"'):gsub("%s+", " ")
  return pandoc.RawInline("typst", '#[#set math.equation(alt: "' .. source .. '")\n' .. typst .. "]")
end
